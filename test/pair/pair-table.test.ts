import { expect, test } from 'vitest';
import { isWithinReach, pairTable } from './pair-table.ts';
import type { PairOutcome } from './run-pair-scenario.ts';

test('the median is held against the reach, not the worst', () => {
  expect(isWithinReach(outcome([900, 1_000, 60_000]))).toBe(true);
  expect(isWithinReach(outcome([900, 1_001, 1_002]))).toBe(false);
});

test('the table gives median, worst, reach, the longest wait and what was lost', () => {
  expect(pairTable([{ ...outcome([900, 1_000, 2_500]), longestWaitMs: 3_000 }])).toMatchInlineSnapshot(`
    "Two nodes and more on one machine; lease 3.0 s, down-after of the Sentinels 2.0 s, else as it comes.
      what            runs  median  worst  reach        longest wait  lost  duplicated  out of order
      pair-node-kill     3   1.0 s  2.5 s    1 s  kept         3.0 s     1           0             0"
  `);
});

test('what was seen of who leads is told beneath', () => {
  const leadership = { longestNobodyMs: 3_100, longestTwoMs: 0, switches: 12, shownSwitches: 12, samples: 9_000, timeline: [] };
  expect(pairTable([{ ...outcome([1]), leadership }])).toContain(
    'pair-node-kill: in 9,000 samples, no node led for 3.1 s at most, and two for 0 ms; the lead changed 12 times, and 12 times in the statistics of HAProxy',
  );
});

function outcome(times: readonly number[]): PairOutcome {
  return {
    scenario: 'pair-node-kill',
    what: 'the node that leads is killed',
    seed: 1,
    struck: times.length,
    audit: { sent: 1, applied: 1, deadLetters: 0, lost: ['a row'], duplicated: [], outOfOrder: [], other: [] },
    longestWaitMs: 0,
    restartCount: 0,
    tookMs: 1,
    reach: { ms: 1_000, text: '1 s', of: 'recovery' },
    strikes: times.map((ms) => ({ ms, recoveryMs: ms, longestWaitMs: ms, longestStillMs: ms, events: {} })),
  };
}
