import { describe, expect, test } from 'vitest';
import { summaryOf, type LeadershipChange } from './leadership-watch.ts';

describe('a timeline of who leads', () => {
  test('gives the longest time on no node and on two, also when it lasts until the end', () => {
    const timeline = [
      at(100, ['node-1']),
      at(1_000, []),
      at(1_300, ['node-2']),
      at(2_000, ['node-1', 'node-2']),
      at(2_040, ['node-1']),
      at(3_000, []),
    ];
    expect(summaryOf(timeline, 3_500)).toMatchObject({ longestNobodyMs: 500, longestTwoMs: 40 });
  });

  test('does not count what was before the first answer', () => {
    expect(summaryOf([at(10, [], ['node-1']), at(900, ['node-1'])], 1_000)).toMatchObject({ longestNobodyMs: 0 });
  });

  test('counts a switch when another one leads alone, and not when the same comes back', () => {
    const timeline = [at(0, ['node-1']), at(10, []), at(20, ['node-1']), at(30, ['node-1', 'node-2']), at(40, ['node-2'])];
    expect(summaryOf(timeline, 50).switches).toBe(1);
  });

  test("counts the switches in the balancer's statistics by themselves", () => {
    const timeline = [
      at(0, ['node-1'], ['node-1']),
      at(10, ['node-2'], ['node-1']),
      at(20, ['node-2'], []),
      at(30, ['node-2'], ['node-2']),
    ];
    expect(summaryOf(timeline, 40)).toMatchObject({ switches: 1, shownSwitches: 1 });
  });
});

function at(atMs: number, leading: readonly string[], up: readonly string[] = []): LeadershipChange {
  return { atMs, leading, up };
}
