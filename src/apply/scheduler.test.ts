import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { SyncError } from '../core/errors.ts';
import { systemRandom } from '../core/random.ts';
import { START } from '../core/stream.ts';
import {
  STREAM_A,
  STREAM_B,
  children,
  createApplyWorld,
  items,
  leasesOf,
  parents,
  runSlice,
  StreamWriter,
  type ApplyWorld,
} from '../../test/support/apply-world.ts';
import { Scheduler } from './scheduler.ts';
import type { SchedulerOptions } from './scheduler-options.ts';
import { settledUpTo } from './settled.ts';
import { runSlices } from './slice.ts';
import type { SliceResult, SliceRunner, StreamMove } from './task.ts';

const PARTITIONS = 4;

let world: ApplyWorld;
let scheduler: Scheduler;
let moves: { partition: number; move: StreamMove }[];
let states: string[];
let damage: string[];
let running: number;
let mostRunning: number;

/** Runs slices in place, and watches how many there are. */
const inPlace: SliceRunner = {
  async run(tasks) {
    mostRunning = Math.max(mostRunning, ++running);
    try {
      return await runSlices(tasks, world.context);
    } finally {
      running--;
    }
  },
  close: async () => {},
};

beforeEach(async () => {
  world = await createApplyWorld(PARTITIONS);
  moves = [];
  states = [];
  damage = [];
  running = 0;
  mostRunning = 0;
});

afterEach(() => scheduler.close());

function start(options: Partial<SchedulerOptions> = {}, claim: 'wait' | 'alone' = 'wait'): Scheduler {
  const leases = leasesOf(world, () => scheduler, claim);
  scheduler = new Scheduler({
    queue: world.queue,
    sink: world.sink,
    runner: inPlace,
    clock: world.clock,
    random: systemRandom,
    leases,
    limits: { elements: 256, bytes: 1 << 20 },
    maxConcurrency: 2,
    access: '',
    events: {
      moved: (partition, move) => moves.push({ partition, move }),
      finished: () => {},
      stateChanged: (partition, state) => states.push(`${partition} ${state}`),
      refused: () => {},
      damaged: (partition, reasons) => damage.push(...reasons.map((reason) => `${partition} ${reason}`)),
      backlog: () => {},
    },
    ...options,
  });
  scheduler.start();
  return scheduler;
}

const counts = async () => (await world.queue.backlog('main')).map(({ count }) => count);
const ids = (table: string) => world.store.read(table).map(({ id }) => id);

describe('the scheduler', () => {
  test('applies what was there before it started', async () => {
    for (let p = 0; p < PARTITIONS; p++) await new StreamWriter(world.queue, p).append(items('insert', [p, 'x']));
    start();
    await world.clock.advance(100);
    expect(ids('item')).toEqual([0, 1, 2, 3]);
    expect(await counts()).toEqual([0, 0, 0, 0]);
  });

  test('runs no more slices at once than allowed, and one per partition', async () => {
    for (let p = 0; p < PARTITIONS; p++) {
      const writer = new StreamWriter(world.queue, p);
      for (let i = 0; i < 10; i++) await writer.append(items('upsert', [p, String(i)]));
    }
    start({ limits: { elements: 3, bytes: 1 << 20 } });
    await world.clock.advance(200);
    expect(mostRunning).toBe(2);
    expect(await counts()).toEqual([0, 0, 0, 0]);
    expect(
      moves
        .filter(({ partition }) => partition === 0)
        .map(({ move }) => move.after.seq)
        .filter((seq) => seq > 0),
    ).toEqual([3, 6, 9, 10]);
  });

  test('applies at once when it is woken', async () => {
    start();
    await world.clock.advance(50);
    await new StreamWriter(world.queue, 2).append(items('insert', [1, 'x']));
    scheduler.wake(2);
    await world.clock.settle();
    expect(ids('item')).toEqual([1]);
  });

  test('finds within a second what another node appended', async () => {
    start();
    await world.clock.advance(50);
    await new StreamWriter(world.queue, 2).append(items('insert', [1, 'x']));
    await world.clock.advance(1100);
    expect(ids('item')).toEqual([1]);
  });

  test('tries again for ever when the sink is away, and tells once', async () => {
    let away = true;
    const asked: number[] = [];
    const runner: SliceRunner = {
      ...inPlace,
      run(tasks) {
        if (!away) return inPlace.run(tasks);
        asked.push(...tasks.filter(({ lease }) => lease.partition === 1).map(({ limits }) => limits.elements));
        return Promise.resolve(tasks.map(() => FAILED));
      },
    };
    await new StreamWriter(world.queue, 1).append(items('insert', [1, 'x']));
    start({ runner });
    await world.clock.advance(20_000);
    expect(states.filter((state) => state === '1 retrying')).toHaveLength(1);
    expect(asked.slice(0, 3)).toEqual([256, 256, 256]);
    // There is no use in reading much.
    expect(new Set(asked.slice(3))).toEqual(new Set([1]));
    expect(ids('item')).toEqual([]);
    away = false;
    await world.clock.advance(1100);
    expect(ids('item')).toEqual([1]);
    expect(states.at(-1)).toMatch(/applying$/);
  });

  test('asks again for the elements that it drops as damaged, of whichever stream they were, and says so', async () => {
    const writers = [STREAM_A, STREAM_B].map((stream) => new StreamWriter(world.queue, 0, stream));
    await writers[0]!.append(items('insert', [1, 'x']));
    const second = await writers[1]!.append(items('insert', [2, 'x']));
    world.queue.damage(0, 0, 30);
    start();
    await world.clock.advance(100);
    expect(ids('item')).toEqual([2]);
    expect(await counts()).toEqual([0, 0, 0, 0]);
    expect(damage).toEqual(['0 the header of an element no longer has its checksum']);
    expect(await world.queue.streams(0)).toEqual(
      new Map([
        [STREAM_A, START],
        [STREAM_B, { seq: 1, crc: second.crc }],
      ]),
    );
  });

  test('asks again for damaged elements also when it does not learn that they are gone', async () => {
    await new StreamWriter(world.queue, 0).append(items('insert', [1, 'x']));
    world.queue.damage(0, 0, 30);
    const { trim } = world.queue;
    world.queue.trim = async (...args) => {
      world.queue.trim = trim;
      await trim.apply(world.queue, args);
      throw new SyncError('queue_unavailable', 'the connection was lost');
    };
    start();
    await world.clock.advance(2_000);
    expect(await counts()).toEqual([0, 0, 0, 0]);
    expect(await world.queue.streams(0)).toEqual(new Map([[STREAM_A, START]]));
  });

  test('asks for what the queue lost: a wiped queue heals through the floor', async () => {
    const writer = new StreamWriter(world.queue, 0);
    await writer.append(items('insert', [1, 'x']));
    start();
    await world.clock.advance(100);
    // Stored, but lost before it was applied.
    await world.queue.raise([{ partition: 0, stream: STREAM_A, producer: 'test', place: { seq: 5, crc: 5 } }]);
    scheduler.heal(0);
    await world.clock.settle();
    const [stored] = await world.queue.raise([{ partition: 0, stream: STREAM_A, producer: 'test', place: { seq: 0, crc: 0 } }]);
    expect(stored).toEqual({ seq: 1, crc: writer.crc });
  });

  test('waits for a lease that another node holds, and takes it when it runs out', async () => {
    await world.queue.acquire({ sink: 'main', partition: 0, token: 'ff'.repeat(16) }, 'n2', 2000, 'wait');
    await new StreamWriter(world.queue, 0).append(items('insert', [1, 'x']));
    start();
    await world.clock.advance(500);
    expect(ids('item')).toEqual([]);
    expect(scheduler.snapshot()[0]).toMatchObject({ state: 'elsewhere', detail: 'held by n2' });
    await world.clock.advance(3000);
    expect(ids('item')).toEqual([1]);
  });

  test('takes the lease at once where it is the only node', async () => {
    await world.queue.acquire({ sink: 'main', partition: 0, token: 'ff'.repeat(16) }, 'n1', 60_000, 'wait');
    await new StreamWriter(world.queue, 0).append(items('insert', [1, 'x']));
    start({}, 'alone');
    await world.clock.advance(50);
    expect(ids('item')).toEqual([1]);
  });

  test('stops applying a partition whose lease another node took', async () => {
    start();
    await world.clock.advance(50);
    await world.queue.acquire({ sink: 'main', partition: 0, token: 'ff'.repeat(16) }, 'n2', 60_000, 'steal');
    await world.clock.advance(1100);
    await new StreamWriter(world.queue, 0).append(items('insert', [1, 'x']));
    scheduler.wake(0);
    await world.clock.advance(2000);
    expect(ids('item')).toEqual([]);
    expect(states).toContain('0 waiting-for-lease');
  });

  test('yields a partition after the slice in flight, and begins no other there', async () => {
    const gate = Promise.withResolvers<void>();
    const slow: SliceRunner = { ...inPlace, run: async (tasks) => gate.promise.then(() => inPlace.run(tasks)) };
    const writer = new StreamWriter(world.queue, 0);
    await writer.append(items('insert', [1, 'x']));
    start({ runner: slow });
    await world.clock.advance(50);
    let yielded = false;
    const yielding = scheduler.yield(0).then(() => (yielded = true));
    await writer.append(items('insert', [2, 'x']));
    scheduler.wake(0);
    await world.clock.settle();
    expect(yielded).toBe(false);
    gate.resolve();
    await world.clock.settle();
    await yielding;
    scheduler.wake(0);
    await world.clock.advance(500);
    // The slice that ran saw both; what it read is trimmed, because the lease was still held.
    expect(ids('item')).toEqual([1, 2]);
    expect((await counts())[0]).toBe(0);
    await writer.append(items('insert', [3, 'x']));
    scheduler.wake(0);
    await world.clock.advance(2_000);
    expect(ids('item')).toEqual([1, 2]);
    expect(scheduler.snapshot()[0]).toMatchObject({ state: 'elsewhere' });
  });

  test('gives its leases back when it closes, so that the next node need not wait', async () => {
    start();
    await world.clock.advance(50);
    await scheduler.close();
    expect(await world.queue.acquire({ sink: 'main', partition: 0, token: 'ee'.repeat(16) }, 'n2', 1000, 'wait')).toEqual({ taken: true });
    expect(world.clock.timerCount).toBe(0);
  });
});

describe('a change that depends on another partition', () => {
  test('waits for it and is applied', async () => {
    await new StreamWriter(world.queue, 0).append(children('insert', [10, 77]));
    await new StreamWriter(world.queue, 1).append(parents('insert', [77]));
    start({ maxConcurrency: 1 });
    await world.clock.advance(2000);
    expect(ids('child')).toEqual([10]);
    expect(await world.sink.deadLetters.count()).toBe(0);
  });

  test('is a dead letter when all others have passed it', async () => {
    await new StreamWriter(world.queue, 0).append(children('insert', [10, 77]));
    await new StreamWriter(world.queue, 1).append(parents('insert', [78]));
    start();
    await world.clock.advance(3000);
    expect(await counts()).toEqual([0, 0, 0, 0]);
    expect(await world.sink.deadLetters.list({ limit: 5 })).toEqual([expect.objectContaining({ code: 'foreign_key', key: '[10]' })]);
  });

  test('waits for a parent that was stored a little later, in another partition', async () => {
    await new StreamWriter(world.queue, 0).append(children('insert', [10, 77]));
    start();
    await world.clock.advance(700);
    await new StreamWriter(world.queue, 1).append(parents('insert', [77]));
    scheduler.wake(1);
    await world.clock.advance(1000);
    expect(ids('child')).toEqual([10]);
    expect(await world.sink.deadLetters.count()).toBe(0);
  });

  test('waits for one that another node applies, and is told apart from it only when that has passed it or patience ends', async () => {
    await new StreamWriter(world.queue, 0).append(children('insert', [10, 77]));
    await world.clock.advance(300);
    const parent = new StreamWriter(world.queue, 1);
    await parent.append(parents('insert', [77]));
    await world.queue.acquire({ sink: 'main', partition: 1, token: 'ff'.repeat(16) }, 'n2', 60_000, 'steal');
    start();
    // Not known here: whether that partition moves.
    await world.clock.advance(5_000);
    expect(await world.sink.deadLetters.count()).toBe(0);
    const [first] = await world.queue.fetch('main', 1, { elements: 1, bytes: 1 });
    const theirs = { sink: 'main', partition: 1, token: 'ff'.repeat(16) };
    await runSlice({ lease: theirs, limits: { elements: 10, bytes: 1 << 20 }, settledAtUs: 0, access: '' }, world.context);
    await world.queue.trim(theirs, 1, first!.identity, []);
    await world.clock.advance(1_000);
    expect(ids('child')).toEqual([10]);
  });

  test('need not wait anew for one that another node applies, when it was in the list as the change before it waited', async () => {
    const writer = new StreamWriter(world.queue, 0);
    for (let id = 10; id < 15; id++) await writer.append(children('insert', [id, 77]));
    await world.clock.advance(300);
    await new StreamWriter(world.queue, 1).append(children('insert', [20, 78]));
    await world.queue.acquire({ sink: 'main', partition: 1, token: 'ff'.repeat(16) }, 'n2', 60_000, 'steal');
    start({ limits: { elements: 1, bytes: 1 << 20 } });
    await world.clock.advance(9_000);
    expect(await world.sink.deadLetters.count()).toBe(0);
    await world.clock.advance(5_000);
    expect(await world.sink.deadLetters.count()).toBe(5);
  });

  test('need not wait anew because a client waits too, and it is looked whether the queue has lost anything', async () => {
    const writer = new StreamWriter(world.queue, 0);
    await writer.append(children('insert', [10, 77]));
    await world.clock.advance(300);
    await world.queue.acquire({ sink: 'main', partition: 1, token: 'ff'.repeat(16) }, 'n2', 60_000, 'steal');
    start({ limits: { elements: 1, bytes: 1 << 20 } });
    await world.clock.advance(500);
    for (let id = 11; id < 15; id++) await writer.append(children('insert', [id, 77]));
    await new StreamWriter(world.queue, 1).append(children('insert', [20, 78]));
    for (let looks = 0; looks < 3; looks++) {
      await world.clock.advance(4_500);
      scheduler.heal(0);
    }
    await world.clock.advance(1_000);
    expect(await world.sink.deadLetters.count()).toBe(5);
  });

  test('two partitions that wait for one another both end', async () => {
    await new StreamWriter(world.queue, 0).append(children('insert', [10, 77]));
    await new StreamWriter(world.queue, 1).append(children('insert', [11, 78]));
    start();
    await world.clock.advance(5000);
    expect(await counts()).toEqual([0, 0, 0, 0]);
    expect(await world.sink.deadLetters.count()).toBe(2);
  });
});

describe('how far others have passed', () => {
  const moving = (partition: number, storedAtUs?: number) => ({ partition, storedAtUs, mayStand: false });
  const standing = (partition: number, storedAtUs: number) => ({ partition, storedAtUs, mayStand: true });

  test('is all that was fetched where nobody else has anything', () => {
    expect(settledUpTo(1, [moving(0), standing(1, 50), moving(2)], 50, 90)).toBe(90);
  });

  test('is nothing while something waits elsewhere that was stored less than a second later', () => {
    expect(settledUpTo(1, [moving(0, 1_000_049), standing(1, 50)], 50, 90)).toBe(0);
    expect(settledUpTo(1, [moving(0, 1_000_060), standing(1, 50)], 50, 90)).toBe(59);
  });

  test('counts one that stands still as passed when it was stored later', () => {
    expect(settledUpTo(1, [standing(0, 60), standing(1, 50)], 50, 90)).toBe(50);
    expect(settledUpTo(0, [standing(0, 60), standing(1, 50)], 60, 90)).toBe(0);
  });

  test('orders equal times by partition, so that one of two goes first', () => {
    expect(settledUpTo(0, [standing(0, 50), standing(1, 50)], 50, 50)).toBe(50);
    expect(settledUpTo(1, [standing(0, 50), standing(1, 50)], 50, 50)).toBe(0);
  });
});

const FAILED: SliceResult = {
  outcome: 'failed',
  count: 0,
  last: undefined,
  apart: [],
  more: true,
  moves: [],
  resets: [],
  damage: [],
  blockedAtUs: undefined,
  fetchedAtUs: 0,
  refused: [],
  error: { code: new SyncError('sink_unavailable', 'x').code, message: 'away' },
  stats: { elements: 0, changes: 0, bytes: 0, deadLetters: 0, fetchMs: 0, applyMs: 0, newestStoredAtUs: 0 },
};
