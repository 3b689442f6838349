import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createApplyWorld, items, leasesOf, StreamWriter, type ApplyWorld } from '../../test/support/apply-world.ts';
import { systemRandom } from '../core/random.ts';
import { Scheduler } from './scheduler.ts';
import { runSlices } from './slice.ts';
import type { SliceRunner } from './task.ts';

const PARTITIONS = 2;

let world: ApplyWorld;
let scheduler: Scheduler;
/** Slices of partition 0 that have begun wait here before they run. */
let begun: (() => void)[];
let held: boolean;

const runner: SliceRunner = {
  async run(tasks) {
    if (held && tasks.some(({ lease }) => lease.partition === 0)) await new Promise<void>((resolve) => begun.push(resolve));
    return runSlices(tasks, world.context);
  },
  close: async () => {},
};

beforeEach(async () => {
  world = await createApplyWorld(PARTITIONS);
  begun = [];
  held = false;
  const leases = leasesOf(world, () => scheduler, 'wait');
  scheduler = new Scheduler({
    queue: world.queue,
    sink: world.sink,
    runner,
    clock: world.clock,
    random: systemRandom,
    leases,
    limits: { elements: 256, bytes: 1 << 20 },
    maxConcurrency: 2,
    access: '',
    events: {
      moved: () => {},
      finished: () => {},
      stateChanged: () => {},
      refused: () => {},
      damaged: () => {},
      backlog: () => {},
    },
  });
});

afterEach(async () => {
  held = false;
  for (const go of begun) go();
  await scheduler.close();
});

const waiting = async () => (await world.queue.backlog('main')).reduce((sum, { count }) => sum + count, 0);

/** Who holds the lease of partition 0, as another node sees it; taken by it when nobody does. */
const holder = async () => {
  const answer = await world.queue.acquire({ sink: 'main', partition: 0, token: 'f'.repeat(32) }, 'n2', 1000, 'wait');
  return answer.taken ? undefined : answer.holder;
};

async function append(n: number): Promise<void> {
  await writer.append(items('upsert', [n, `name ${n}`]));
  scheduler.wake(0);
}
let writer: StreamWriter;
beforeEach(() => {
  writer = new StreamWriter(world.queue, 0);
});

describe('a drained scheduler', () => {
  test('finishes what runs, begins nothing, and has given its leases back', async () => {
    held = true;
    await append(1);
    scheduler.start();
    await world.clock.advance(10);
    expect(begun).toHaveLength(1);
    let drained = false;
    const draining = scheduler.drain().then(() => (drained = true));
    await world.clock.advance(5_000);
    expect({ drained, load: scheduler.load }).toEqual({ drained: false, load: { slices: 1, leases: PARTITIONS } });
    expect(await holder()).toBe('n1');
    held = false;
    begun.shift()?.();
    await draining;
    await append(2);
    await world.clock.advance(20_000);
    expect({ load: scheduler.load, begun: begun.length, waiting: await waiting() }).toEqual({
      load: { slices: 0, leases: 0 },
      begun: 0,
      waiting: 1,
    });
    expect(await holder()).toBeUndefined();
    expect(scheduler.snapshot()[0]).toMatchObject({ state: 'waiting-for-lease', detail: 'this node is drained' });
  });

  test('takes leases again when it is resumed, and applies what came meanwhile', async () => {
    scheduler.start();
    await world.clock.advance(10);
    await scheduler.drain();
    await append(1);
    await world.clock.advance(5_000);
    expect(await waiting()).toBe(1);
    await scheduler.resume();
    await world.clock.advance(100);
    expect({ load: scheduler.load, waiting: await waiting() }).toEqual({ load: { slices: 0, leases: PARTITIONS }, waiting: 0 });
  });

  test('goes on as if nothing had been when it is resumed before it was drained', async () => {
    held = true;
    await append(1);
    scheduler.start();
    await world.clock.advance(10);
    const draining = scheduler.drain();
    await append(2);
    await scheduler.resume();
    held = false;
    begun.shift()?.();
    await draining;
    await world.clock.advance(100);
    expect({ leases: scheduler.load.leases, waiting: await waiting() }).toEqual({ leases: PARTITIONS, waiting: 0 });
  });

  test('applies what it still holds when it is resumed before it could give it back', async () => {
    const { queue } = world;
    const acquire = queue.acquire.bind(queue);
    const answer = Promise.withResolvers<void>();
    queue.acquire = async (lease, ...rest) => {
      if (lease.partition === 1) await answer.promise;
      return acquire(lease, ...rest);
    };
    scheduler.start();
    await world.clock.advance(10);
    const draining = scheduler.drain();
    await world.clock.settle();
    const resumed = scheduler.resume();
    answer.resolve();
    await Promise.all([draining, resumed]);
    await append(1);
    await world.clock.advance(20_000);
    expect({ leases: scheduler.load.leases, waiting: await waiting() }).toEqual({ leases: PARTITIONS, waiting: 0 });
  });

  test('takes no lease when it starts late, nor when the queue comes back', async () => {
    await scheduler.drain();
    scheduler.start();
    await world.clock.advance(10_000);
    expect(scheduler.load.leases).toBe(0);
    expect(await holder()).toBeUndefined();
    await scheduler.resume();
    await world.clock.advance(10_000);
    expect(scheduler.load.leases).toBe(PARTITIONS);
  });

  test('is closed at once', async () => {
    scheduler.start();
    await world.clock.advance(10);
    await Promise.all([scheduler.drain(), scheduler.drain()]);
    await scheduler.close();
    expect(scheduler.load).toEqual({ slices: 0, leases: 0 });
  });

  test('does not forget a partition that was being tried again', async () => {
    const { begin } = world.sink;
    await append(1);
    Object.assign(world.sink, { begin: () => Promise.reject(new Error('away')) });
    scheduler.start();
    await world.clock.advance(200);
    await scheduler.drain();
    Object.assign(world.sink, { begin });
    await scheduler.resume();
    await world.clock.advance(100);
    expect(await waiting()).toBe(0);
  });
});

test('new limits hold from the next slice on', async () => {
  for (let n = 1; n <= 6; n++) await writer.append(items('upsert', [n, 'x']));
  const limits: unknown[] = [];
  const inner = runner.run;
  runner.run = (tasks) => {
    limits.push(tasks[0]?.limits);
    return inner(tasks);
  };
  try {
    scheduler.configure({ elements: 2, bytes: 1000 }, 1, '');
    scheduler.start();
    await world.clock.advance(100);
  } finally {
    runner.run = inner;
  }
  expect(limits[0]).toEqual({ elements: 2, bytes: 1000 });
  expect(await waiting()).toBe(0);
});
