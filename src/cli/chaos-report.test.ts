import { expect, test } from 'vitest';
import type { Report } from '../chaos/report.ts';
import { describeReport, describeStrike } from './chaos-report.ts';

const good: Report = {
  version: '1.2.3',
  startedAt: '2026-11-26T12:00:00.000Z',
  durationMs: 600_000,
  interrupted: false,
  seed: 7,
  server: 'tcp://staging:9501',
  sink: 'mysql://sync:***@db/staging',
  clients: 4,
  changesPerSecond: 600,
  triggers: true,
  faults: [
    {
      fault: 'reset',
      what: 'connections are reset',
      count: 12,
      failed: 0,
      recoveryMs: { median: 80, worst: 1200 },
      lost: 0,
      duplicated: 0,
      outOfOrder: 0,
      other: 0,
    },
    {
      fault: 'kill-redis',
      what: 'a command of yours runs',
      count: 3,
      failed: 0,
      recoveryMs: { median: 900, worst: 2100 },
      lost: 0,
      duplicated: 0,
      outOfOrder: 0,
      other: 0,
    },
  ],
  totals: { sent: 361_204, refused: 4711, faults: 15, lives: 9 },
  damage: { lost: 0, duplicated: 0, 'out of order': 0, 'refused but applied': 0, unexplained: 0, other: 0 },
  findings: [],
  hookFailures: [],
  notes: [],
  ok: true,
};

const bad: Report = {
  ...good,
  interrupted: true,
  triggers: 'TRIGGER command denied',
  faults: good.faults.map((one) => (one.fault === 'reset' ? one : { ...one, failed: 1, lost: 2 })),
  damage: { ...good.damage, lost: 2 },
  findings: [{ kind: 'lost', text: 'journal: client 1, life 1, step 3 is \u001b[31mmissing' }],
  hookFailures: [{ fault: 'kill-redis', failure: 'ended with exit code 255: no route to host' }],
  notes: ['client 2: no complete HELLO arrived in time [auth_timeout]'],
  ok: false,
};

test('a report of a run in which nothing was wrong', () => {
  expect(describeReport(good)).toMatchSnapshot();
});

test('a report of a run in which much was wrong', () => {
  expect(describeReport(bad)).toMatchSnapshot();
});

test('a report of a run in which only commands failed says that', () => {
  expect(describeReport({ ...good, ok: false, hookFailures: bad.hookFailures })).toContain('No damage, but commands failed');
});

test('a fault is one line', () => {
  const strike = {
    fault: 'reset',
    beganWallMs: 12_345,
    endedWallMs: 12_350,
    detail: 'client 2',
    recoveryMs: 85,
    stuck: undefined,
    failure: undefined,
  };
  expect([
    describeStrike(strike, 0),
    describeStrike({ ...strike, recoveryMs: undefined }, 0),
    describeStrike({ ...strike, recoveryMs: undefined, stuck: 'nothing was applied for 60 s' }, 0),
    describeStrike({ ...strike, failure: 'ended with exit code 1' }, 0),
  ]).toMatchInlineSnapshot(`
    [
      "   12.3 s  reset          client 2; acknowledged again after 85 ms",
      "   12.3 s  reset          client 2; then the run was ended",
      "   12.3 s  reset          client 2; NOT ACKNOWLEDGED AGAIN: nothing was applied for 60 s",
      "   12.3 s  reset          FAILED: the command ended with exit code 1; acknowledged again after 85 ms",
    ]
  `);
});
