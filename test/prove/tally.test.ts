import { expect, test } from 'vitest';
import type { LedgerEntry } from './ledger-entry.ts';
import { firstGap, settle, tallyOf } from './tally.ts';
import { entry } from './sample-entry.ts';

const covers = (entries: readonly LedgerEntry[]) => entries.map(({ from, count }) => `${from}..${from + count - 1}`);

test('adjacent slices become one entry, whose seconds and figures are sums', () => {
  const slices = [
    entry({ from: 11, count: 5, seconds: 2, figures: { changes: 5, 'longest wait in s': 1, seeds: [3] }, date: '2026-02-02' }),
    entry({ from: 1, count: 10, seconds: 1.1, figures: { changes: 7, 'longest wait in s': 4, seeds: [2, 9] }, date: '2026-02-01' }),
  ];
  expect(settle([], slices)).toEqual([
    entry({ from: 1, count: 15, seconds: 3.1, figures: { changes: 12, 'longest wait in s': 4, seeds: [2, 9, 3] }, date: '2026-02-02' }),
  ]);
});

test('a figure that only one of the slices has is kept', () => {
  const slices = [entry({ from: 1, count: 1, figures: { a: 1 } }), entry({ from: 2, count: 1, figures: { b: 2 } })];
  expect(settle([], slices)[0]?.figures).toEqual({ a: 1, b: 2 });
});

test('slices with a gap between them stay apart, and the gap is what comes next', () => {
  const known = settle([], [entry({ from: 1, count: 10 }), entry({ from: 21, count: 10 })]);
  expect(covers(known)).toEqual(['1..10', '21..30']);
  expect(firstGap(known, 100)).toEqual({ from: 11, count: 10 });
  expect(firstGap([...known, entry({ from: 11, count: 10 })], 100)).toEqual({ from: 31, count: 70 });
});

test('nothing is left when the target is reached, or was lowered below what is done', () => {
  const known = [entry({ from: 1, count: 10 }), entry({ from: 21, count: 10 })];
  expect(firstGap([], 3)).toEqual({ from: 1, count: 3 });
  expect(firstGap(known, 15)).toEqual({ from: 11, count: 5 });
  expect(firstGap(known, 10)).toBeUndefined();
  expect(firstGap([entry({ from: 1, count: 30 })], 10)).toBeUndefined();
  expect(firstGap([entry({ from: 5, count: 30 })], 10)).toEqual({ from: 1, count: 4 });
});

test('no item is counted twice: an entry that overlaps one before it counts for nothing', () => {
  const published = [entry({ from: 1, count: 20, seconds: 20 })];
  const known = settle(published, [entry({ from: 1, count: 10 }), entry({ from: 11, count: 10 }), entry({ from: 15, count: 10 })]);
  expect(known).toEqual(published);
  expect(firstGap(known, 30)).toEqual({ from: 21, count: 10 });
});

test('it makes no difference whether entries come again', () => {
  const slices = [1, 11, 21, 41].map((from) => entry({ from, count: 10, violations: from === 11 ? [{ what: 'x', rerun: 'y' }] : [] }));
  const once = settle([], slices);
  expect(covers(once)).toEqual(['1..30', '41..50']);
  expect(settle(once, slices)).toEqual(once);
  expect(settle(once, once)).toEqual(once);
});

test('a broken promise is kept, whatever becomes of its entry, and once', () => {
  const broken = { what: 'a row is lost', rerun: 'npm run drill' };
  const other = { what: 'a row is there twice', rerun: 'npm run drill' };
  const published = [entry({ from: 1, count: 10, violations: [broken] })];
  const known = settle(published, [entry({ from: 5, count: 10, violations: [broken, other] }), entry({ from: 11, count: 2 })]);
  expect(known).toEqual([entry({ from: 1, count: 12, seconds: 2, violations: [broken, other] })]);
  expect(tallyOf(known).violations).toEqual([broken, other]);
});

test('what was done on another state of the source, by another part or elsewhere is not mixed up', () => {
  const slices = [
    entry({ from: 1, count: 10 }),
    entry({ from: 1, count: 10, source: 'before' }),
    entry({ from: 1, count: 10, part: 'other' }),
    entry({ from: 11, count: 10, commit: 'later' }),
    entry({ from: 21, count: 10, commit: 'later', machine: { cpu: 'fast', cores: 64, node: '24', os: 'Linux' } }),
  ];
  const known = settle([], slices);
  expect(known.length).toBe(5);
  // A commit that changes nothing of the source goes on where the one before it was.
  const current = known.filter(({ part, source }) => part === 'kills' && source === 'now');
  expect(tallyOf(current).done).toBe(30);
  expect(firstGap(current, 40)).toEqual({ from: 31, count: 10 });
});
