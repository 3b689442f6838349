import { expect, test } from 'vitest';
import { samplePartition, sampleState } from '../../test/support/sample-state.ts';
import { readStatus } from './status.ts';

test('sums the lag and names what is in the way', async () => {
  const status = await readStatus({
    ...sampleState(),
    queue: () => ({ kind: 'redis', held: 'queue_readonly: redis is a replica', failure: undefined }),
    partitions: () => [
      samplePartition({ batches: 4, bytes: 10, oldestAgeMs: 50 }),
      samplePartition({
        partition: 1,
        state: 'retrying',
        detail: 'sink_busy: lock wait',
        batches: 1,
        bytes: 5,
        oldestAgeMs: 45_000,
        stalledMs: 44_000,
      }),
    ],
  });
  expect(status.lag).toEqual({ batches: 5, ms: 45_000 });
  expect(status.queue).toEqual({ kind: 'redis', admission: 'held', detail: 'queue_readonly: redis is a replica', batches: 5, bytes: 15 });
  expect(status.ready).toBe(false);
  expect(status.obstacles).toEqual([
    'the queue accepts nothing: queue_readonly: redis is a replica',
    'partition 1 has applied nothing for 44 s: retrying (sink_busy: lock wait)',
  ]);
});

test('tells what waits now, not what waited a second ago', async () => {
  let batches = 88;
  const state = { ...sampleState(), partitions: () => [samplePartition({ batches })] };
  expect((await readStatus({ ...state, refresh: async () => void (batches = 0) })).lag.batches).toBe(0);
  batches = 7;
  expect((await readStatus({ ...state, refresh: () => Promise.reject(new Error('away')) })).lag.batches).toBe(7);
});

test('tells why dead letters cannot be counted, and everything else', async () => {
  const status = await readStatus({ ...sampleState(), deadLetters: () => Promise.reject(new Error('sink_unavailable: no connection')) });
  expect(status.deadLetters).toEqual({ failure: 'sink_unavailable: no connection' });
  expect(status.ready).toBe(true);
});
