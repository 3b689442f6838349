import { existsSync } from 'node:fs';
import { expect, test } from 'vitest';
import { read, ROOT } from '../support/source-files.ts';
import { PARTS } from './parts.ts';

test('parts have names of their own', () => {
  const names = PARTS.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
});

test.each(PARTS)('$name stands on files that exist, does some, and names a command that exists', { timeout: 300_000 }, async (part) => {
  expect(part.sources.filter((path) => !existsSync(`${ROOT}${path}`))).toEqual([]);
  const target = typeof part.target === 'number' ? part.target : await part.target();
  expect(target).toBeGreaterThan(0);
  expect(part.sliceCount).toBeGreaterThan(0);
  const [, script] = /^npm run ([\w-]+)/.exec(part.rerun) ?? [];
  expect(Object.keys((JSON.parse(read('package.json')) as { scripts: object }).scripts)).toContain(script);
});
