import { existsSync } from 'node:fs';
import { expect, test } from 'vitest';
import { CONTROLS } from '../security/controls.ts';
import { read, ROOT } from '../support/source-files.ts';

const cited = [...read('docs/security.md').matchAll(/^\| .+ \| `([\w./-]+\.test\.ts)` \| (.+) \|$/gm)].map(([, file, name]) => ({
  file: file as string,
  name: name as string,
}));

/** Whether a file holds a test or a group with this text in its name; strings of sources may be quoted in any way. */
function holds(file: string, name: string): boolean {
  return (
    existsSync(`${ROOT}${file}`) &&
    read(file)
      .replaceAll(/\\(['"`])/g, '$1')
      .includes(name)
  );
}

test('every line of the security page names a test that exists', () => {
  expect(cited.length).toBeGreaterThan(20);
  expect(cited.filter(({ file, name }) => !holds(file, name))).toEqual([]);
});

test('so does every control that is switched off', () => {
  // Names of tests that are made from a table hold its values.
  const named = CONTROLS.map(({ test: { file, name, contract = file } }) => ({
    file: contract,
    name: name.replace(/^"0\.0\.0\.0" | is a fault$/g, ''),
  }));
  expect(named.filter(({ file, name }) => !holds(file, name))).toEqual([]);
});
