import { expect, test } from 'vitest';
import { SEEDS_IN_VERIFY } from '../prove/parts/seeds.ts';
import { simulate } from './simulation.ts';

const PER_TEST = 50;
const RANGES = Array.from({ length: SEEDS_IN_VERIFY / PER_TEST }, (_, i) => [i * PER_TEST + 1, (i + 1) * PER_TEST] as const);

test.each(RANGES)('the histories of seeds %i to %i keep every promise', { timeout: 600_000 }, async (from, to) => {
  const broken: string[] = [];
  for (let seed = from; seed <= to; seed++) {
    const { violations, changes } = await simulate({ seed });
    if (violations.length > 0) broken.push(`seed ${seed}: ${violations[0]}`);
    expect(changes).toBeGreaterThan(0);
  }
  expect(broken).toEqual([]);
});

// One node, a pair, and three nodes on Redis with Sentinels.
test.each([7, 9, 1])('a seed decides everything that happens: %i', async (seed) => {
  const lines: string[][] = [[], []];
  const first = await simulate({ seed, trace: (line) => lines[0]!.push(line) });
  const second = await simulate({ seed, trace: (line) => lines[1]!.push(line) });
  expect(lines[1]).toEqual(lines[0]);
  expect(second).toEqual(first);
});
