import { expect, test } from 'vitest';
import { SEEDS_IN_VERIFY } from '../prove/parts/seeds.ts';
import { findBroken } from './find-broken.ts';
import { simulate } from './simulation.ts';

/** Many: the first ten histories of a process take nearly twice the time of those after fifty, when what runs often is compiled. */
const PER_TEST = 250;
const RANGES = Array.from({ length: SEEDS_IN_VERIFY / PER_TEST }, (_, i) => [i * PER_TEST + 1, (i + 1) * PER_TEST] as const);

// In a process of its own, without what the test runner adds to the sources: that costs a quarter of the time.
test.for(RANGES)('the histories of seeds %i to %i keep every promise', { timeout: 900_000 }, async ([from, to], { signal }) => {
  const { seed, symptom } = await findBroken(from, to, { signal });
  expect(seed === undefined ? 'nothing' : `seed ${seed}: ${symptom}`).toBe('nothing');
});

// One node, a pair, three nodes on Redis with Sentinels, and a pair on a Redis Cluster.
test.each([7, 9, 1, 12])('a seed decides everything that happens: %i', async (seed) => {
  const lines: string[][] = [[], []];
  const first = await simulate({ seed, trace: (line) => lines[0]!.push(line) });
  const second = await simulate({ seed, trace: (line) => lines[1]!.push(line) });
  expect(lines[1]).toEqual(lines[0]);
  expect(second).toEqual(first);
});
