import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { gitAvailable, ScratchClone } from './scratch-clone.ts';
import { readSourceState } from './source-state.ts';

describe.skipIf(!gitAvailable())('the state of the source', () => {
  let clone: ScratchClone;

  beforeEach(() => {
    clone = new ScratchClone();
  });
  afterEach(() => clone.close());

  test('a commit that changes something else, a test or a page leaves the source as it was', () => {
    const before = readSourceState(clone.root, ['test/fault']);
    clone.commit('docs/page.md', 'words\n');
    clone.commit('src/a.test.ts', 'test\n');
    clone.commit('test/simulation/world.ts', 'world\n');
    const after = readSourceState(clone.root, ['test/fault']);
    expect(after.source).toBe(before.source);
    expect(after.commit).not.toBe(before.commit);
  });

  test.each(['src/a.ts', 'src/deep/b.lua', 'package-lock.json', 'test/fault/kill.ts'])('a commit that changes %s makes another', (path) => {
    const before = readSourceState(clone.root, ['test/fault']);
    clone.commit(path, 'changed\n');
    expect(readSourceState(clone.root, ['test/fault']).source).not.toBe(before.source);
  });

  test('files that are changed or new and not committed are named', () => {
    expect(readSourceState(clone.root, ['test/fault']).uncommitted).toEqual([]);
    clone.write('src/a.ts', 'export const a = 2;\n');
    clone.write('src/a.test.ts', 'test\n');
    clone.write('test/fault/new.ts', 'new\n');
    clone.write('test/simulation/new.ts', 'new\n');
    expect(readSourceState(clone.root, ['test/fault']).uncommitted).toEqual(['src/a.ts', 'test/fault/new.ts']);
  });

  test('is nothing outside of a clone', () => {
    rmSync(join(clone.root, '.git'), { recursive: true });
    expect(() => readSourceState(clone.root, [])).toThrow('git does not tell');
  });
});
