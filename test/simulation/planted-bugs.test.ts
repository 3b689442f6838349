import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { SEEDS_IN_VERIFY } from '../prove/parts/seeds.ts';
import { checkPatches } from '../support/source-patches.ts';
import { findBroken } from './find-broken.ts';
import { findBug } from './find-bugs.ts';
import { PLANTED_BUGS } from './planted-bugs.ts';

/** The first seed that shows each bug; `npm run find-bugs -- --write` finds them afresh. */
const SEEDS = JSON.parse(readFileSync(new URL('planted-bugs.json', import.meta.url), 'utf8')) as Record<string, number>;
/** A change of the product moves events, and with them the seed: one of so many that follow must show the bug. */
const SEEDS_TRIED = 60;
/** Such a history takes ten times as long. */
const SEEDS_TRIED_ON_CLUSTER = 15;

test('each bug has a name of its own, a seed that shows it, and fits the sources', () => {
  const names = PLANTED_BUGS.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  expect(Object.keys(SEEDS).sort()).toEqual(names.toSorted());
  for (const { name, patches } of PLANTED_BUGS) checkPatches(patches.map((patch) => ({ ...patch, name })));
});

test.each(PLANTED_BUGS.filter(({ isSeldom }) => isSeldom !== true))('is caught: $name', { timeout: 120_000 }, async (bug) => {
  const seed = SEEDS[bug.name]!;
  const tried = bug.on === 'cluster' ? SEEDS_TRIED_ON_CLUSTER : SEEDS_TRIED;
  expect((await findBug(bug, seed, seed + tried)).seed).toBeGreaterThanOrEqual(seed);
});

test('without a bug, the same seeds keep every promise', { timeout: 120_000 }, async () => {
  // The first ones are run as they are in any case.
  const seeds = PLANTED_BUGS.flatMap(({ name, on }) => (on === undefined && SEEDS[name]! > SEEDS_IN_VERIFY ? SEEDS[name]! : []));
  for (const seed of new Set(seeds)) expect(await findBroken(seed, seed, {})).toMatchObject({ seed: undefined });
});

test('without a bug, the histories on a cluster that show one keep every promise', { timeout: 120_000 }, async () => {
  const seeds = PLANTED_BUGS.flatMap(({ name, on }) => (on === 'cluster' ? SEEDS[name]! : []));
  for (const seed of new Set(seeds)) expect(await findBroken(seed, seed, { on: 'cluster' })).toMatchObject({ seed: undefined });
});
