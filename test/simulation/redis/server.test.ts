import { describe, expect, test } from 'vitest';
import type { AppendEntry, Queue, QueueSettings } from '../../../src/queue/queue.ts';
import { openRedisQueue } from '../../../src/queue/redis/redis-queue.ts';
import { SeededRandom } from '../../support/seeded-random.ts';
import { Host } from '../world/host.ts';
import { Network } from '../world/network.ts';
import { Timeline } from '../world/timeline.ts';
import { driverFactory } from './driver.ts';
import { SimRedis, type Death, type SimRedisOptions } from './server.ts';

const SETTINGS: QueueSettings = { partitions: 2, sinks: [{ name: 'main', required: true }], mapping: '' };
const STREAM = 'ab'.repeat(16);

function makeWorld(options: SimRedisOptions = {}, seed = 1) {
  const timeline = new Timeline();
  const random = new SeededRandom(seed);
  const network = new Network(timeline, random);
  const [node, machine] = [new Host('node', timeline), new Host('redis', timeline)];
  const redis = new SimRedis(machine, network, random, options);
  redis.boot();
  const clock = node.boot();
  return { timeline, random, network, node, clock, redis };
}

type World = ReturnType<typeof makeWorld>;

/** Runs virtual time until `promise` is settled. */
async function settled<T>({ timeline }: World, promise: Promise<T>): Promise<T> {
  let isDone = false;
  const watched = promise.finally(() => (isDone = true)).catch(() => {});
  await timeline.run(timeline.nowMs + 60_000, () => isDone);
  await watched;
  return promise;
}

function openQueue(world: World): Promise<Queue> {
  const { random, node, clock, network, redis } = world;
  const bytes = {
    fill: (target: Uint8Array) => target.forEach((_, i) => (target[i] = random.below(256))),
    fraction: () => random.fraction(),
  };
  return settled(
    world,
    openRedisQueue(SETTINGS, {
      url: 'redis://redis',
      clock,
      random: bytes,
      createDriver: driverFactory(node, clock, network, redis.service),
    }),
  );
}

function entry(seq: number): AppendEntry {
  return { stream: STREAM, producer: 'shop', seq, prev: seq - 1, crc: seq, frame: Buffer.from(`frame ${seq}`), kind: 'frame' };
}

async function append(world: World, queue: Queue, seq: number): Promise<string> {
  try {
    const [result] = await settled(world, queue.append(0, [entry(seq)]));
    return result!.verdict;
  } catch (error) {
    return (error as { code: string }).code;
  }
}

async function count(world: World, queue: Queue): Promise<number> {
  return (await settled(world, queue.backlog('main')))[0]!.count;
}

test('the queue of production stores and fetches', async () => {
  const world = makeWorld();
  const queue = await openQueue(world);
  expect(queue.admission).toEqual({ state: 'open' });
  for (let seq = 1; seq <= 3; seq++) expect(await append(world, queue, seq)).toBe('append');
  expect(await append(world, queue, 3)).toBe('duplicate');
  expect(await append(world, queue, 5)).toBe('gap');
  const elements = await settled(world, queue.fetch('main', 0, { elements: 10, bytes: 1000 }));
  expect(elements.map(({ frame, producer }) => `${producer} ${String(frame)}`)).toEqual(['shop frame 1', 'shop frame 2', 'shop frame 3']);
  expect(elements[0]!.storedAtUs).toBeGreaterThan(1_700_000_000_000_000);
  const lease = { sink: 'main', partition: 0, token: 'token' };
  expect(await settled(world, queue.acquire(lease, 'node', 1000, 'wait'))).toMatchObject({ taken: true });
  expect(await settled(world, queue.trim(lease, 2, elements[1]!.identity, []))).toBe(true);
  expect(await count(world, queue)).toBe(1);
  await world.timeline.run(world.timeline.nowMs + 1001);
  expect(await settled(world, queue.renew([lease], 1000))).toEqual([false]);
  await queue.close();
});

test('a seed decides everything', async () => {
  const history = async (seed: number) => {
    const world = makeWorld({}, seed);
    const queue = await openQueue(world);
    for (let seq = 1; seq <= 20; seq++) {
      if (seq === 10) world.redis.kill('process');
      if (seq === 10) world.redis.boot(50);
      await append(world, queue, seq);
    }
    return [world.timeline.nowMs, world.timeline.eventCount, world.redis.store.offset, world.redis.runId];
  };
  expect(await history(3)).toEqual(await history(3));
  expect(await history(3)).not.toEqual(await history(4));
});

describe('what a death leaves', () => {
  test.each<[NonNullable<SimRedisOptions['persistence']>, Death, number[]]>([
    ['always', 'process', [3]],
    ['always', 'power-loss', [3]],
    ['always', 'file-lost', [0]],
    // What a sync in the background held back is lost.
    ['everysec', 'process', [2, 3]],
    ['everysec', 'power-loss', [1, 2, 3]],
    ['no', 'power-loss', [0, 1, 2, 3]],
    ['no', 'process', [3]],
    ['off', 'process', [0]],
  ])('persistence %s, %s: %j of 3 elements', async (persistence, death, expected) => {
    const counts = new Set<number>();
    for (let seed = 1; seed <= 30; seed++) {
      const world = makeWorld({ persistence }, seed);
      const queue = await openQueue(world);
      await append(world, queue, 1);
      await world.timeline.run(2990);
      // The last two within the second before the end.
      await append(world, queue, 2);
      await world.timeline.run(3010);
      await append(world, queue, 3);
      world.redis.kill(death);
      world.redis.boot(200);
      await world.timeline.run(world.timeline.nowMs + 5000);
      expect(queue.admission).toEqual({ state: 'open' });
      counts.add(await count(world, queue));
      await queue.close();
    }
    expect([...counts].sort((a, b) => a - b)).toEqual(expected);
  });

  test('a replica that lagged behind has lost the last writes, and knows no script', async () => {
    const world = makeWorld();
    const queue = await openQueue(world);
    for (let seq = 1; seq <= 5; seq++) await append(world, queue, seq);
    const { runId } = world.redis;
    expect(world.redis.rollBack(2)).toBe(2);
    expect(world.redis.runId).not.toBe(runId);
    await world.timeline.run(world.timeline.nowMs + 2000);
    expect(await count(world, queue)).toBe(3);
    expect(await append(world, queue, 6)).toBe('gap');
    expect(await append(world, queue, 4)).toBe('append');
  });
});

describe('what a server refuses', () => {
  test.each<[string, (redis: SimRedis) => void, (redis: SimRedis) => void, string]>([
    ['memory is full', (redis) => redis.setMaxMemory(1), (redis) => redis.setMaxMemory(0), 'queue_full'],
    ['saving fails', (redis) => redis.setSaves('fail'), (redis) => redis.setSaves('succeed'), 'queue_readonly'],
    ['replicas are missing', (redis) => redis.setMinReplicas(1), (redis) => redis.setMinReplicas(0), 'queue_readonly'],
    ['it is a replica', (redis) => redis.setRole('replica'), (redis) => redis.setRole('master'), 'queue_readonly'],
  ])('appends while %s, and takes them afterwards', async (_, spoil, mend, code) => {
    const world = makeWorld();
    const queue = await openQueue(world);
    spoil(world.redis);
    expect(await append(world, queue, 1)).toBe(code);
    await world.timeline.run(world.timeline.nowMs + 3000);
    expect(queue.admission.state).toBe('held');
    mend(world.redis);
    await world.timeline.run(world.timeline.nowMs + 3000);
    expect(queue.admission).toEqual({ state: 'open' });
    expect(await append(world, queue, 1)).toBe('append');
    world.redis.flushAll();
    expect(await append(world, queue, 2)).toBe('gap');
  });

  test('commands while it loads, and a queue opens when it has loaded', async () => {
    const world = makeWorld();
    world.redis.kill('process');
    world.redis.boot(5000);
    const queue = await openQueue(world);
    expect(queue.admission).toEqual({ state: 'held', reason: expect.stringContaining('LOADING') as string });
    await world.timeline.run(7000);
    expect(queue.admission).toEqual({ state: 'open' });
  });
});
