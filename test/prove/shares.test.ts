import { expect, test } from 'vitest';
import type { Slice } from './part.ts';
import { runShares, type Sharing } from './shares.ts';

/** Items of which one ends its process, with a word about it or without. */
const SCRIPT = `
const [from, to, step, told, silent, endless] = process.argv.slice(1).map(Number);
for (let item = from; item <= to; item += step) {
  if (item === silent) throw new Error('no word');
  while (item >= endless);
  const violations = item === told ? ['an assertion failed', 'and so on'] : [];
  console.log(JSON.stringify({ item, violations, figures: { events: item } }));
  if (item === told) process.exit(1);
}`;

function sharing({ told = 0, silent = 0, endless = Infinity }: { told?: number; silent?: number; endless?: number }): Sharing {
  return {
    argsOf: (from, to, step) => ['-e', SCRIPT, '--', ...[from, to, step, told, silent, endless].map(String)],
    nameOf: (item) => `item ${item}`,
    rerunOf: (item) => `run ${item}`,
  };
}

function sliceOf(from: number, count: number, different: Partial<Slice> = {}): Slice {
  return { from, count, signal: new AbortController().signal, progress: () => {}, ...different };
}

test('every item of the slice is done once, and figures are sums', async () => {
  const told: number[] = [];
  const result = await runShares(sliceOf(11, 9, { progress: (done) => told.push(done) }), sharing({}));
  expect(result).toEqual({ done: 9, violations: [], figures: { events: 11 + 12 + 13 + 14 + 15 + 16 + 17 + 18 + 19 } });
  expect(told).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
});

test('an item that ends its process is a broken promise, and those after it are done all the same', async () => {
  const result = await runShares(sliceOf(1, 9), sharing({ told: 4 }));
  expect(result).toEqual({ done: 9, violations: [{ what: 'item 4: an assertion failed', rerun: 'run 4' }], figures: { events: 45 } });
});

test('a process that ends without a word about an item says nothing about the slice', async () => {
  await expect(runShares(sliceOf(1, 9), sharing({ silent: 4 }))).rejects.toThrow(/ended without a word about its first item.*no word/s);
});

test('what is aborted keeps the items before the first that is missing', async () => {
  const aborted = new AbortController();
  const progress = (done: number) => done === 5 && aborted.abort();
  const result = await runShares(sliceOf(1, 9, { signal: aborted.signal, progress }), sharing({ endless: 6 }));
  expect(result).toEqual({ done: 5, violations: [], figures: { events: 15 } });
});
