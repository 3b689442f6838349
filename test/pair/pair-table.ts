import { count, duration, textTable } from '../../src/cli/text.ts';
import { DOWN_AFTER_MS } from '../support/redis-sentinel.ts';
import { LEASE_MS } from './pair-parts.ts';
import type { PairOutcome } from './run-pair-scenario.ts';

const HEAD = ['what', 'runs', 'median', 'worst', 'reach', '', 'longest wait', 'lost', 'duplicated', 'out of order'];

const SETTINGS = `Two nodes and more on one machine; lease ${duration(LEASE_MS)}, down-after of the Sentinels ${duration(DOWN_AFTER_MS)}, else as it comes.`;

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
      `${scenario}: in ${count(samples)} samples, no node led for ${duration(longestNobodyMs)} at most, and two for ${duration(longestTwoMs)}; ` +
        `the lead changed ${count(switches)} times, and ${count(shownSwitches)} times in the statistics of HAProxy`,
    ];
  });
  return [SETTINGS, textTable(HEAD, rows), ...watched].join('\n');
}

/** Of nothing, it is within. */
export function isWithinReach({ strikes, reach }: PairOutcome): boolean {
  return strikes.length === 0 || medianOf(strikes.map(({ ms }) => ms)) <= reach.ms;
}

function medianOf(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[(values.length - 1) >> 1] ?? 0;
}
