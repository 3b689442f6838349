import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { checkPatches } from '../support/source-patches.ts';
import { PLANTED_BUGS } from './planted-bugs.ts';
import { findBug } from './prove.ts';
import { simulate } from './simulation.ts';

/** The seed that shows each bug; `node test/simulation/prove.ts --write` finds them afresh. */
const SEEDS = JSON.parse(readFileSync(new URL('planted-bugs.json', import.meta.url), 'utf8')) as Record<string, number>;

test('each bug has a name of its own and a seed that shows it', () => {
  const names = PLANTED_BUGS.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  expect(Object.keys(SEEDS).sort()).toEqual(names.toSorted());
});

test.each(PLANTED_BUGS)('is caught: $name', async (bug) => {
  checkPatches(bug.patches.map((patch) => ({ ...patch, name: bug.name })));
  const seed = SEEDS[bug.name]!;
  expect((await findBug(bug, seed, seed)).seed).toBe(seed);
});

test('without a bug, the same seeds keep every promise', async () => {
  for (const seed of new Set(Object.values(SEEDS))) expect((await simulate({ seed })).violations).toEqual([]);
}, 120_000);
