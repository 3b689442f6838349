import { beforeEach, describe, expect, test } from 'vitest';
import { children, createApplyWorld, items, parents, STREAM_A, StreamWriter, type ApplyWorld } from '../../test/support/apply-world.ts';
import { SyncError } from '../core/errors.ts';
import type { QueueReader } from '../queue/queue.ts';
import type { Sink } from '../sinks/sink.ts';
import { runSlices } from './slice.ts';
import type { SliceResult, SliceTask } from './task.ts';

const TASK: SliceTask = {
  lease: { sink: 'main', partition: 0, token: '00'.repeat(16) },
  limits: { elements: 256, bytes: 1 << 20 },
  settledAtUs: 0,
  access: '',
};

let world: ApplyWorld;

const rows = () => world.store.read('item').map(({ id, name }) => [id, name]);

describe('slices of several partitions', () => {
  let begun: number;
  let writers: StreamWriter[];

  beforeEach(async () => {
    world = await createApplyWorld(4);
    writers = [0, 1, 2, 3].map((partition) => new StreamWriter(world.queue, partition));
    begun = 0;
  });

  const runAll = (partitions: readonly number[], sink: Sink = world.sink, queue: QueueReader = world.queue) => {
    const counting = beginningBy(sink, (claims) => (begun++, sink.begin(claims)));
    const tasks = partitions.map((partition) => ({ ...TASK, lease: { ...TASK.lease, partition } }));
    return runSlices(tasks, { ...world.context, sink: counting, queue });
  };
  const outcomes = (results: readonly SliceResult[]) => results.map(({ outcome, count }) => `${outcome} ${count}`);
  const moved = () => [0, 1, 2, 3].map(async (p) => (await world.sink.readWatermarks(p, [STREAM_A])).get(STREAM_A)?.seq ?? 0);

  test('are applied in one transaction', async () => {
    await writers[0]!.append(items('insert', [1, 'a']));
    await writers[2]!.append(items('insert', [2, 'b']));
    await writers[2]!.append(items('update', [2, 'c']));
    const results = await runAll([2, 1, 0]);
    expect(outcomes(results)).toEqual(['applied 2', 'applied 0', 'applied 1']);
    expect(results.map(({ moves }) => moves.map(({ after }) => after.seq))).toEqual([[2], [], [1]]);
    expect(results.map(({ stats }) => stats.changes)).toEqual([2, 0, 1]);
    expect(rows()).toEqual([
      [1, 'a'],
      [2, 'c'],
    ]);
    expect(begun).toBe(1);
    expect(await Promise.all(moved())).toEqual([1, 0, 2, 0]);
  });

  test('begin nothing when there is nothing', async () => {
    expect(outcomes(await runAll([0, 1]))).toEqual(['applied 0', 'applied 0']);
    expect(begun).toBe(0);
  });

  test('go on apart when a change fails for good, and nothing of them is applied', async () => {
    await writers[0]!.append(items('insert', [1, 'a']));
    await writers[1]!.append(items('update', [7, 'nobody']));
    expect(outcomes(await runAll([0, 1, 2]))).toEqual(['deferred 0', 'deferred 0', 'applied 0']);
    expect(rows()).toEqual([]);
    expect(outcomes(await runAll([0]))).toEqual(['applied 1']);
    expect(await runAll([1])).toMatchObject([{ outcome: 'applied', count: 1, stats: { deadLetters: 1 } }]);
  });

  test('leave out what has to have a turn of its own', async () => {
    await writers[0]!.append(items('insert', [1, 'a']));
    await writers[1]!.append(items('insert', ['no number', 'b']));
    expect(outcomes(await runAll([0, 1]))).toEqual(['applied 1', 'deferred 0']);
    expect(rows()).toEqual([[1, 'a']]);
  });

  test('are applied in the order in which they were stored', async () => {
    await writers[3]!.append(parents('insert', [77]));
    await world.clock.advance(1);
    await writers[0]!.append(children('insert', [10, 77]));
    await world.clock.advance(1);
    await writers[3]!.append(parents('insert', [78]));
    await world.clock.advance(1);
    await writers[1]!.append(children('insert', [11, 78]));
    expect(outcomes(await runAll([0, 1, 3]))).toEqual(['applied 1', 'applied 1', 'applied 2']);
    expect(begun).toBe(1);
  });

  test('fail together when the sink cannot now', async () => {
    await writers[0]!.append(items('insert', [1, 'a']));
    await writers[1]!.append(items('insert', [2, 'b']));
    const away = beginningBy(world.sink, () => Promise.reject(new SyncError('sink_unavailable', 'away')));
    const results = await runAll([0, 1, 2], away);
    expect(outcomes(results)).toEqual(['failed 0', 'failed 0', 'applied 0']);
    expect(results[0]?.error?.code).toBe('sink_unavailable');
  });

  test('leave out frames that together are more than a slice may take', async () => {
    for (const p of [0, 1, 2]) await writers[p]!.append(items('insert', [p, 'x'.repeat(p === 1 ? 3000 : 100)]));
    const tasks = [0, 1, 2].map((partition) => ({
      ...TASK,
      lease: { ...TASK.lease, partition },
      limits: { elements: 85, bytes: 1000 },
    }));
    expect(outcomes(await runSlices(tasks, world.context))).toEqual(['applied 1', 'deferred 0', 'applied 1']);
    expect(rows().map(([id]) => id)).toEqual([0, 2]);
  });

  test('do without one whose elements cannot be read', async () => {
    await writers[0]!.append(items('insert', [1, 'a']));
    await writers[1]!.append(items('insert', [2, 'b']));
    const fetch: QueueReader['fetch'] = (sink, partition, limits) =>
      partition === 1 ? Promise.reject(new SyncError('queue_unavailable', 'away')) : world.queue.fetch(sink, partition, limits);
    const queue: QueueReader = { fetch, close: async () => {} };
    expect(outcomes(await runAll([0, 1], world.sink, queue))).toEqual(['applied 1', 'failed 0']);
    expect(rows()).toEqual([[1, 'a']]);
  });
});

/** A sink that begins its transactions in another way. */
function beginningBy(sink: Sink, begin: Sink['begin']): Sink {
  return new Proxy(sink, {
    get(target, name) {
      if (name === 'begin') return begin;
      const value = target[name as keyof Sink];
      return typeof value === 'function' ? (value as () => unknown).bind(target) : value;
    },
  });
}
