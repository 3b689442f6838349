import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createApplyWorld, items, leasesOf, StreamWriter, type ApplyWorld } from '../../test/support/apply-world.ts';
import type { Lease } from '../core/lease.ts';
import { systemRandom } from '../core/random.ts';
import { Scheduler } from './scheduler.ts';
import type { SchedulerOptions } from './scheduler-options.ts';
import { runSlices } from './slice.ts';
import type { SliceRunner, SliceTask, StreamMove } from './task.ts';

const PARTITIONS = 4;

let world: ApplyWorld;
let scheduler: Scheduler;
let moves: { partition: number; move: StreamMove }[];

const inPlace: SliceRunner = {
  run: (tasks) => runSlices(tasks, world.context),
  close: async () => {},
};

beforeEach(async () => {
  world = await createApplyWorld(PARTITIONS);
  moves = [];
});

afterEach(() => scheduler.close());

/** One transaction at a time, so that others have to wait for it. */
function start(options: Partial<SchedulerOptions>): void {
  scheduler = new Scheduler({
    queue: world.queue,
    sink: world.sink,
    runner: inPlace,
    clock: world.clock,
    random: systemRandom,
    leases: leasesOf(world, () => scheduler, 'wait'),
    limits: { elements: 256, bytes: 1 << 20 },
    maxConcurrency: 1,
    access: '',
    events: {
      moved: (partition, move) => moves.push({ partition, move }),
      finished: () => {},
      stateChanged: () => {},
      refused: () => {},
      damaged: () => {},
      backlog: () => {},
    },
    ...options,
  });
  scheduler.start();
}

const counts = async () => (await world.queue.backlog('main')).map(({ count }) => count);
const ids = (table: string) => world.store.read(table).map(({ id }) => id);

describe('a scheduler whose partitions have little to do', () => {
  test('lets partitions with little to do share a transaction, and divides among them what one may take', async () => {
    const runs: SliceTask[][] = [];
    const watched: SliceRunner = { ...inPlace, run: (tasks) => (runs.push([...tasks]), inPlace.run(tasks)) };
    start({ runner: watched });
    await world.clock.advance(100);
    runs.length = 0;
    const writers = [0, 1, 2, 3].map((partition) => new StreamWriter(world.queue, partition));
    for (const [p, writer] of writers.entries()) await writer.append(items('insert', [p, 'x']));
    // The first has begun when the others become ready.
    for (const p of [3, 0, 2, 1]) scheduler.wake(p);
    await world.clock.settle();
    expect(runs.map((tasks) => tasks.map(({ lease }) => lease.partition))).toEqual([[3], [0, 2, 1]]);
    expect(runs[1]?.map(({ limits }) => limits)).toEqual(Array.from({ length: 3 }, () => ({ elements: 86, bytes: 349_526 })));
    expect(ids('item')).toEqual([0, 1, 2, 3]);
    expect(await counts()).toEqual([0, 0, 0, 0]);
  });

  test('runs a partition with much to do alone', async () => {
    const runs: string[] = [];
    const watched: SliceRunner = {
      ...inPlace,
      run: (tasks) => (runs.push(tasks.map(({ lease }) => lease.partition).join()), inPlace.run(tasks)),
    };
    start({ runner: watched, limits: { elements: 32, bytes: 1 << 20 } });
    await world.clock.advance(100);
    const writers = [0, 1, 2, 3].map((partition) => new StreamWriter(world.queue, partition));
    const round = async (many: number) => {
      runs.length = 0;
      for (const [p, writer] of writers.entries())
        for (let i = 0; i < (p === 2 ? many : 1); i++) await writer.append(items('upsert', [p, String(i)]));
      for (const p of [0, 1, 2, 3]) scheduler.wake(p);
      await world.clock.settle();
      return runs.join(' ');
    };
    // How much there is shows when it is fetched.
    expect(await round(3)).toBe('0 1,2,3');
    expect(await round(1)).toBe('0 1,3 2');
    expect(await round(1)).toBe('0 1,2,3');
  });

  test('keeps a partition apart for a while after a change of it failed, and the others go on together', async () => {
    const runs: string[] = [];
    const watched: SliceRunner = {
      ...inPlace,
      run: (tasks) => (runs.push(tasks.map(({ lease }) => lease.partition).join()), inPlace.run(tasks)),
    };
    start({ runner: watched });
    await world.clock.advance(100);
    const writers = [0, 1, 2, 3].map((partition) => new StreamWriter(world.queue, partition));
    const round = async (bad?: number) => {
      runs.length = 0;
      for (const [p, writer] of writers.entries()) await writer.append(items(p === bad ? 'update' : 'upsert', [100 + p, 'x']));
      for (const p of [0, 1, 2, 3]) scheduler.wake(p);
      await world.clock.settle();
      return runs.join(' ');
    };
    expect(await round(2)).toBe('0 1,2,3 1 2 3');
    expect(await round()).toBe('0 1,3 2');
    await world.clock.advance(10_000);
    expect(await round()).toBe('0 1,2,3');
    expect(moves.filter(({ move }) => move.rejections.length > 0).map(({ partition }) => partition)).toEqual([2]);
  });

  test('has a partition only once in a transaction, also when its lease was lost and gained while it was ready', async () => {
    const runs: string[] = [];
    let gate: PromiseWithResolvers<void> | undefined;
    const held: SliceRunner = {
      ...inPlace,
      async run(tasks) {
        runs.push(tasks.map(({ lease }) => lease.partition).join());
        const results = await inPlace.run(tasks);
        await gate?.promise;
        return results;
      },
    };
    start({ runner: held });
    const gained: Lease[] = [];
    const tell = scheduler.gained.bind(scheduler);
    scheduler.gained = (lease) => {
      gained.push(lease);
      tell(lease);
    };
    await world.clock.advance(100);
    runs.length = 0;
    gate = Promise.withResolvers();
    scheduler.wake(0);
    await world.clock.settle();
    scheduler.wake(1);
    scheduler.lost(1);
    scheduler.gained(gained.find(({ partition }) => partition === 1)!);
    const release = () => {
      const { resolve } = gate!;
      gate = runs.length > 1 ? undefined : Promise.withResolvers();
      resolve();
      return world.clock.settle();
    };
    await release();
    const writer = new StreamWriter(world.queue, 1);
    for (let i = 0; i < 3; i++) await writer.append(items('upsert', [1, String(i)]));
    scheduler.wake(1);
    await release();
    await world.clock.advance(100);
    expect(runs).toEqual(['0', '1', '1']);
    expect(moves.filter(({ move }) => move.after.seq > move.before.seq)).toHaveLength(1);
  });

  test('finds out who holds up a shared transaction, and keeps it apart, longer each time', async () => {
    const runs: string[] = [];
    let slow: readonly number[] = [];
    const watched: SliceRunner = {
      ...inPlace,
      async run(tasks) {
        const partitions = tasks.map(({ lease }) => lease.partition);
        runs.push(partitions.join());
        const isHeld = partitions.some((partition) => slow.includes(partition));
        const results = await inPlace.run(tasks);
        return results.map((result) => ({ ...result, stats: { ...result.stats, applyMs: isHeld ? 300 : 1 } }));
      },
    };
    start({ runner: watched });
    await world.clock.advance(100);
    const writers = [0, 1, 2, 3].map((partition) => new StreamWriter(world.queue, partition));
    const round = async () => {
      runs.length = 0;
      for (const [p, writer] of writers.entries()) await writer.append(items('upsert', [100 + p, 'x']));
      for (const p of [0, 1, 2, 3]) scheduler.wake(p);
      await world.clock.settle();
      return runs.join(' ');
    };
    slow = [2];
    expect([await round(), await round(), await round()]).toEqual(['0 1,2,3', '0 1 2 3', '0 1,3 2']);
    await world.clock.advance(10_000);
    expect([await round(), await round(), await round()]).toEqual(['0 1,2,3', '0 1 2 3', '0 1,3 2']);
    slow = [];
    await world.clock.advance(10_000);
    expect(await round()).toBe('0 1,3 2');
    await world.clock.advance(10_000);
    expect(await round()).toBe('0 1,2,3');
  });
});
