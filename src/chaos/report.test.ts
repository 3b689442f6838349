import { describe, expect, test } from 'vitest';
import type { Finding } from './findings.ts';
import { faultResults, firstFindings, MAX_SHOWN, type Strike } from './report.ts';

const FAULTS = ['reset', 'kill-server', 'slow'].map((name) => ({ name, what: `what ${name} is` }));

function strike(fault: string, beganWallMs: number, recoveryMs: number | undefined): Strike {
  return { fault, beganWallMs, endedWallMs: beganWallMs + 10, detail: '', recoveryMs, stuck: undefined, failure: undefined };
}

const strikes = [strike('reset', 100, 5), strike('kill-server', 200, 50), strike('reset', 300, 15), strike('reset', 400, 10)];

/** A finding about a step that was begun at a time. */
function finding(kind: Finding['kind'], beganMs: number): Finding {
  return { kind, text: '', place: { client: 1, life: 1, n: beganMs } };
}

const results = (findings: readonly Finding[]) => faultResults(FAULTS, strikes, findings, ({ place }) => place?.n);

describe('the results by fault', () => {
  test('count what happened, with the middle and the longest recovery', () => {
    expect(results([]).map(({ fault, count, recoveryMs }) => [fault, count, recoveryMs])).toEqual([
      ['reset', 3, { median: 10, worst: 15 }],
      ['kill-server', 1, { median: 50, worst: 50 }],
    ]);
  });

  test('count damage for the fault that was under way or came next', () => {
    const damage = [finding('lost', 150), finding('lost', 205), finding('duplicated', 211), finding('out of order', 999)];
    expect(results(damage).map(({ lost, duplicated, outOfOrder, other }) => [lost, duplicated, outOfOrder, other])).toEqual([
      [0, 1, 1, 0],
      [2, 0, 0, 0],
    ]);
  });

  test('leave out what is about no step', () => {
    const [reset] = results([{ kind: 'other', text: 'stopped', place: undefined }]);
    expect(reset?.other).toBe(0);
  });
});

test('a report shows the first findings of each kind', () => {
  const findings = [...Array.from({ length: MAX_SHOWN + 5 }, (_, i) => finding('lost', i)), finding('other', 0)];
  const shown = firstFindings(findings);
  expect(shown).toHaveLength(MAX_SHOWN + 1);
  expect(shown.at(-1)?.kind).toBe('other');
});
