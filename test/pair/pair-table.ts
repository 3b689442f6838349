import { duration, textTable } from '../../src/cli/text.ts';
import type { PairOutcome } from './run-pair-scenario.ts';

const HEAD = ['what', 'runs', 'median', 'worst', 'reach', '', 'longest wait', 'lost', 'duplicated', 'out of order'];

/** What each kind of fault cost, and whether its median is within reach. */
export function pairTable(outcomes: readonly PairOutcome[]): string {
  const rows = outcomes.map((outcome) => {
    const { scenario, reach, strikes, audit, longestWaitMs } = outcome;
    const times = strikes.map(({ ms }) => ms);
    return [
      scenario,
      String(strikes.length),
      times.length === 0 ? '–' : duration(medianOf(times)),
      times.length === 0 ? '–' : duration(Math.max(...times)),
      `${reach.text}${reach.of === 'standstill' ? ', standing still' : ''}`,
      isWithinReach(outcome) ? 'kept' : 'MISSED',
      duration(longestWaitMs),
      ...[audit.lost, audit.duplicated, audit.outOfOrder].map(({ length }) => String(length)),
    ];
  });
  const watched = outcomes.flatMap(({ scenario, leadership }) => {
    if (leadership === undefined) return [];
    const { longestNobodyMs, longestTwoMs, switches, shownSwitches, samples } = leadership;
    return [
      `${scenario}: in ${samples} samples, no node led for ${duration(longestNobodyMs)} at most, and two for ${duration(longestTwoMs)}; ` +
        `the lead changed ${switches} times, and HAProxy's statistics showed ${shownSwitches}`,
    ];
  });
  return [textTable(HEAD, rows), ...watched].join('\n');
}

/** Of nothing, it is within. */
export function isWithinReach({ strikes, reach }: PairOutcome): boolean {
  return strikes.length === 0 || medianOf(strikes.map(({ ms }) => ms)) <= reach.ms;
}

function medianOf(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[(values.length - 1) >> 1] ?? 0;
}
