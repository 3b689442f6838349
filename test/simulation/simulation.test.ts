import { expect, test } from 'vitest';
import { simulate } from './simulation.ts';

const SEEDS = Array.from({ length: 20 }, (_, i) => i + 1);

test.each(SEEDS)('seed %i keeps every promise', async (seed) => {
  const history = await simulate({ seed });
  expect(history.violations).toEqual([]);
  expect(history.changes).toBeGreaterThan(0);
});

test('a seed decides everything that happens', async () => {
  const lines: string[][] = [[], []];
  const first = await simulate({ seed: 7, trace: (line) => lines[0]!.push(line) });
  const second = await simulate({ seed: 7, trace: (line) => lines[1]!.push(line) });
  expect(lines[1]).toEqual(lines[0]);
  expect(second).toEqual(first);
});
