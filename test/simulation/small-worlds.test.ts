import { expect, test } from 'vitest';
import { secondsOf } from './small-world-pairs.ts';
import { countBytes, singleFaults, textOf, withCut, withFaults } from './small-worlds.ts';

/** How many first faults the sample of pairs has, and how many second ones with each. */
const FIRSTS = 40;
const SECONDS = 12;
/** How many faults the sample of a pair of nodes has. */
const OF_A_PAIR = 300;

test('a small history has what can go wrong: frames stored and applied, and a dead letter', async () => {
  const { history, moments } = await withFaults([]);
  expect(history.violations).toEqual([]);
  const types = moments.flatMap(({ what }) => /node → client-1: a frame of type (\d+)/.exec(what)?.[1] ?? []);
  expect(new Set(types)).toEqual(new Set(['2', '4', '5', '7']));
});

test('every fault of every kind, once at every moment of a small history', { timeout: 600_000 }, async () => {
  const faults = await singleFaults();
  expect(faults.length).toBeGreaterThan(1_000);
  const broken: string[] = [];
  let resent = 0;
  for (const fault of faults) {
    const { history, moments } = await withFaults([fault]);
    if (moments.filter(({ what }) => what === 'client-1 → node: a frame of type 3').length > 2) resent++;
    if (history.violations.length > 0) broken.push(`${textOf([fault])}: ${history.violations[0]}`);
  }
  expect(broken.slice(0, 10)).toEqual([]);
  expect(resent).toBeGreaterThan(50);
});

test('faults in a small history of a pair of nodes, a sample over all of them', { timeout: 600_000 }, async () => {
  const faults = await singleFaults('a pair');
  expect(faults.length).toBeGreaterThan(2_000);
  const broken: string[] = [];
  let takeovers = 0;
  for (const fault of spread(faults, OF_A_PAIR)) {
    const lines: string[] = [];
    const { history } = await withFaults([fault], (line) => lines.push(line), 'a pair');
    if (lines.some((line) => line.includes('took over a partition'))) takeovers++;
    if (history.violations.length > 0) broken.push(`${textOf([fault])}: ${history.violations[0]}`);
  }
  expect(broken).toEqual([]);
  expect(takeovers).toBeGreaterThan(5);
});

test('pairs of faults in a small history, a sample over all of them', { timeout: 600_000 }, async () => {
  const broken: string[] = [];
  for (const first of spread(await singleFaults(), FIRSTS)) {
    for (const second of spread(secondsOf(first, await withFaults([first])), SECONDS)) {
      const { violations } = (await withFaults([first, second])).history;
      if (violations.length > 0) broken.push(`${textOf([first, second])}: ${violations[0]}`);
    }
  }
  expect(broken).toEqual([]);
});

test.each(['to the node', 'to the client'] as const)(
  'the connection is cut in the middle of what it carries %s',
  { timeout: 600_000 },
  async (direction) => {
    const bytes = await countBytes(direction);
    expect(bytes).toBeGreaterThan(200);
    const broken: string[] = [];
    for (let at = 0; at < bytes; at++) {
      const { violations } = await withCut(direction, at);
      if (violations.length > 0) broken.push(`cut after ${at} bytes: ${violations[0]}`);
    }
    expect(broken.slice(0, 10)).toEqual([]);
  },
);

function spread<T>(all: readonly T[], count: number): T[] {
  return all.filter((_, i) => Math.floor((i * count) / all.length) !== Math.floor(((i - 1) * count) / all.length));
}
