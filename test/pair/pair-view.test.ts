import { expect, test } from 'vitest';
import { lineOf, pageOf, type PairMoment } from './pair-view.ts';

const MOMENT: PairMoment = {
  mode: 'standby',
  elapsedMs: 83_400,
  processes: [
    { name: 'node-1', pid: 4_101, state: 'leads', balancer: 'UP', isUp: true },
    { name: 'node-2', pid: 4_102, state: 'back in 3 s', balancer: 'DOWN', isUp: false },
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
    "syncline pair, standby, 01:23
    Ctrl-C ends the load, compares every row and removes everything

      process  pid   state        HAProxy says  kill, or -STOP and -CONT
      node-1   4101  leads        UP            kill -9 4101
      node-2   4102  back in 3 s  DOWN
      redis-1  4090  primary                    kill -9 4090

      sent 12,400 rows (801/s), applied 12,350 (800/s), waiting 50
      a change waits 12 ms now, 3.2 s at most so far

      12:00:01  node-2 (4102) has ended, and is started again in 5 s"
  `);
});

test('elsewhere the same is one line', () => {
  expect(lineOf(MOMENT)).toMatchInlineSnapshot(
    `"01:23  sent 12,400 rows (801/s), applied 12,350 (800/s), waiting 50; a change waits 12 ms now, 3.2 s at most so far; node-1 leads (UP), node-2 back in 3 s (DOWN), redis-1 primary"`,
  );
});

test('what was applied and not yet noted as sent does not wait', () => {
  expect(lineOf({ ...MOMENT, appliedRows: 12_500 })).toContain('waiting 0;');
});

test('a page fits a terminal of 80 columns and 24 lines, whatever its parts say', () => {
  const names = ['node-1', 'node-2', 'haproxy', 'redis-1', 'redis-2', 'sentinel-1', 'sentinel-2', 'sentinel-3', 'mariadb'];
  const page = pageOf({
    ...MOMENT,
    elapsedMs: 3_599_000,
    processes: names.map((name) => ({ name, pid: 4_194_303, state: 'does not answer', balancer: 'DOWN', isUp: true })),
    sentRows: 9_876_543,
    appliedRows: 9_000_000,
    sentPerSecond: 9_876,
    appliedPerSecond: 9_876,
    waitingMs: 179_900,
    longestWaitMs: 179_900,
    notes: Array.from({ length: 6 }, () => '12:00:01  sentinel-3 (4194303) has ended, and is started again in 5 s'),
  });
  expect(Math.max(...page.map(({ length }) => length))).toBeLessThan(80);
  // The cursor stands below the last of them.
  expect(page.length).toBeLessThan(24);
});
