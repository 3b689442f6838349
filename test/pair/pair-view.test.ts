import { expect, test } from 'vitest';
import { lineOf, pageOf, type PairMoment } from './pair-view.ts';

const MOMENT: PairMoment = {
  mode: 'standby',
  elapsedMs: 83_400,
  processes: [
    { name: 'node-1', pid: 4_101, state: 'leads', balancer: 'UP', isUp: true },
    { name: 'node-2', pid: 4_102, state: 'killed, back in 3 s', balancer: 'DOWN', isUp: false },
    { name: 'redis-1', pid: 4_090, state: 'primary', balancer: undefined, isUp: true },
  ],
  sentRows: 12_400,
  appliedRows: 12_350,
  sentPerSecond: 801.4,
  appliedPerSecond: 799.6,
  waitingMs: 12,
  longestWaitMs: 3_210,
  notes: ['12:00:01  node-2 (4102) has ended, and is started again in 5 s'],
  phase: undefined,
};

test('a page for a terminal has a line for each process, and how to kill it', () => {
  expect(pageOf(MOMENT).join('\n')).toMatchInlineSnapshot(`
    "syncline pair, standby, 01:23   Ctrl-C ends the load, compares every row and removes everything

      process  pid   state                HAProxy says  kill, or kill -STOP and -CONT
      node-1   4101  leads                UP            kill -9 4101
      node-2   4102  killed, back in 3 s  DOWN
      redis-1  4090  primary                            kill -9 4090

      sent 12,400 rows (801/s), applied 12,350 (800/s), waiting 50; a change waits 12 ms now, 3.2 s at most so far

      12:00:01  node-2 (4102) has ended, and is started again in 5 s"
  `);
});

test('elsewhere the same is one line', () => {
  expect(lineOf(MOMENT)).toMatchInlineSnapshot(
    `"01:23  sent 12,400 rows (801/s), applied 12,350 (800/s), waiting 50; a change waits 12 ms now, 3.2 s at most so far; node-1 leads (UP), node-2 killed, back in 3 s (DOWN), redis-1 primary"`,
  );
});

test('what was applied and not yet noted as sent does not wait', () => {
  expect(lineOf({ ...MOMENT, appliedRows: 12_500 })).toContain('waiting 0;');
});
