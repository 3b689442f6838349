import { Redis, type RedisOptions } from 'ioredis';
import { afterEach, describe, expect, test } from 'vitest';
import { readElement } from '../../src/apply/read-element.ts';
import type { Argument } from '../../src/queue/redis/link.ts';
import type { Element, Queue, QueueSettings } from '../../src/queue/queue.ts';
import { PiecesCommand } from '../../src/queue/redis/pieces.ts';
import { openRedisQueue, type RedisQueueOptions } from '../../src/queue/redis/redis-queue.ts';
import { A, ALL, B, codeOf, entry, lease, placeAt, SETTINGS } from '../contract/queue.contract.ts';
import { redisAvailable, startRedis, type RedisServer } from '../support/redis-server.ts';

const LARGE_BYTES = 20_000;
const TWO_SINKS: QueueSettings = { ...SETTINGS, sinks: ['main', 'audit'].map((name) => ({ name, required: name === 'main' })) };
const HELD = lease(1);

describe.skipIf(!redisAvailable())('large frames in Redis', () => {
  const cleanups: (() => unknown)[] = [];
  afterEach(async () => {
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  });

  const start = async (...args: string[]): Promise<RedisServer> => {
    const server = await startRedis({ args });
    cleanups.push(() => server.close());
    return server;
  };
  const open = async ({ url }: RedisServer, options: Partial<RedisQueueOptions> = {}, settings = SETTINGS): Promise<Queue> => {
    const queue = await openRedisQueue(settings, { url, ...options });
    cleanups.push(() => queue.close());
    await queue.acquire(HELD, 'node', 60_000, 'steal');
    return queue;
  };
  /** Where frames are kept, and for how long; −1: until they are removed. */
  const kept = async (server: RedisServer): Promise<[key: string, ttlMs: number][]> => {
    const redis = new Redis(server.url);
    try {
      const keys = (await redis.keys('*:frames:*')).toSorted();
      return await Promise.all(keys.map(async (key): Promise<[string, number]> => [key, await redis.pttl(key)]));
    } finally {
      redis.disconnect();
    }
  };
  const trim = (queue: Queue, elements: readonly Element[], of = HELD) =>
    queue.trim(of, elements.length, elements.at(-1)!.identity, [], [...new Set(elements.flatMap(({ apart }) => apart ?? []))]);

  test('lie beside the list, and stay until the last element of their append has left', async () => {
    const server = await start();
    const queue = await open(server);
    const sent = [large(A, 1), entry(B, 1), large(A, 2), entry(B, 2, { kind: 'refusal' }), entry(A, 3)];
    await queue.append(1, sent);
    await queue.append(1, [large(A, 4)]);
    const elements = await queue.fetch('main', 1, ALL);
    expect(elements.map(({ frame }) => frame)).toEqual([...sent, large(A, 4)].map(({ frame }) => new Uint8Array(frame)).map(Buffer.from));
    expect((await queue.backlog('main'))[1]!.bytes).toBeGreaterThan(3 * LARGE_BYTES);
    const list = await server.command('MEMORY', 'USAGE', 'syncline:{1}:list:main', 'SAMPLES', '0');
    expect(Number(/\d+/.exec(list))).toBeLessThan(2000);
    expect((await kept(server)).map(([, ttlMs]) => ttlMs)).toEqual([-1, -1]);
    // What is left of the first append is not large, and yet it is what tells when the rest may go.
    expect(await trim(queue, elements.slice(0, 3))).toBe(true);
    expect(await kept(server)).toHaveLength(2);
    expect(await trim(queue, elements.slice(3, 5))).toBe(true);
    expect(await kept(server)).toEqual([[`syncline:{1}:frames:main:${elements[5]!.apart}`, -1]]);
    expect(await trim(queue, elements.slice(5))).toBe(true);
    expect(await kept(server)).toEqual([]);
  });

  test('that were stored already leave nothing, and of a part that is refused only that part stays unread', async () => {
    const server = await start();
    const queue = await open(server);
    await queue.append(1, [large(A, 1)]);
    const [element] = await queue.fetch('main', 1, ALL);
    expect((await queue.append(1, [large(A, 1), entry(A, 3)])).map(({ verdict }) => verdict)).toEqual(['duplicate', 'gap']);
    expect(await kept(server)).toHaveLength(1);
    expect((await queue.append(1, [large(A, 1), large(A, 2)])).map(({ verdict }) => verdict)).toEqual(['duplicate', 'append']);
    const elements = await queue.fetch('main', 1, ALL);
    expect(elements.map(({ frame }) => frame.length)).toEqual([LARGE_BYTES + 1, LARGE_BYTES + 2]);
    expect(elements[0]).toEqual(element);
    expect(await trim(queue, elements)).toBe(true);
    expect(await kept(server)).toEqual([]);
  });

  test('are read in bounded pieces of a large append', async () => {
    const queue = await open(await start());
    const sent = Array.from({ length: 300 }, (_, i) => large(A, i + 1));
    await queue.append(1, sent);
    const lengths: number[] = [];
    for (;;) {
      const elements = await queue.fetch('main', 1, { elements: 100, bytes: 10 * LARGE_BYTES });
      if (elements.length === 0) break;
      expect(elements.length).toBeLessThanOrEqual(11);
      lengths.push(...elements.map(({ frame }) => frame.length));
      expect(await trim(queue, elements)).toBe(true);
    }
    expect(lengths).toEqual(sent.map(({ frame }) => frame.length));
  });

  test('of two sinks are sent once, and each sink keeps its own', async () => {
    const server = await start();
    const queue = await open(server, {}, TWO_SINKS);
    await queue.append(1, [large(A, 1)]);
    expect((await kept(server)).map(([key, ttlMs]) => [key.split(':')[3], ttlMs])).toEqual([
      ['audit', -1],
      ['main', -1],
    ]);
    expect(await trim(queue, await queue.fetch('main', 1, ALL))).toBe(true);
    const audit = { ...HELD, sink: 'audit' };
    await queue.acquire(audit, 'node', 60_000, 'steal');
    const elements = await queue.fetch('audit', 1, ALL);
    expect(elements.map(({ frame }) => Buffer.from(frame))).toEqual([large(A, 1).frame]);
    expect(await trim(queue, elements, audit)).toBe(true);
    expect(await kept(server)).toEqual([]);
  });

  test('outlast a rewrite of the append-only file and a kill', async () => {
    const server = await start('--appendonly', 'yes', '--appendfsync', 'always');
    const queue = await open(server);
    await queue.append(1, [large(A, 1)]);
    await server.command('BGREWRITEAOF');
    await queue.append(1, [large(A, 2)]);
    await server.kill('SIGKILL');
    await server.restart();
    const again = await open(server);
    expect((await again.fetch('main', 1, ALL)).map(({ frame }) => Buffer.from(frame))).toEqual([large(A, 1).frame, large(A, 2).frame]);
  });

  test('are refused when Redis is full, as others are', async () => {
    const server = await start('--maxmemory-policy', 'noeviction');
    const queue = await open(server);
    await server.command('CONFIG', 'SET', 'maxmemory', '1');
    expect(await codeOf(queue.append(1, [large(A, 1)]))).toBe('queue_full');
    await server.command('CONFIG', 'SET', 'maxmemory', '0');
    expect((await queue.append(1, [large(A, 1)]))[0]).toEqual({ verdict: 'append', stored: placeAt(1) });
  });

  test('that are gone before they were appended: nothing of the call is stored, and made again it is', async () => {
    const server = await start();
    const vanish = (redis: Redis, key: string) => void redis.call('DEL', key);
    const queue = await open(server, { createDriver: withFault(1, vanish) });
    expect(await codeOf(queue.append(1, [entry(B, 1), large(A, 1)]))).toBe('queue_unavailable');
    expect(await queue.fetch('main', 1, ALL)).toEqual([]);
    expect(await queue.streams(1)).toEqual(new Map());
    expect((await queue.append(1, [entry(B, 1), large(A, 1)])).map(({ verdict }) => verdict)).toEqual(['append', 'append']);
    expect(await kept(server)).toHaveLength(1);
  });

  test('whose node died before it could append them expire', async () => {
    const server = await start();
    const die = (redis: Redis) => redis.disconnect();
    const queue = await open(server, { createDriver: withFault(1, die) });
    expect(await codeOf(queue.append(1, [large(A, 1)]))).toBe('queue_unavailable');
    const [[, ttlMs] = ['', 0]] = await kept(server);
    expect(ttlMs).toBeGreaterThan(0);
    expect(ttlMs).toBeLessThanOrEqual(5000);
  });

  test('that are lost are asked for again, and no others of their append', async () => {
    const server = await start();
    const queue = await open(server);
    await queue.append(1, [large(A, 1), entry(A, 2)]);
    await queue.append(1, [large(A, 3)]);
    await server.command('DEL', (await queue.fetch('main', 1, ALL)).map(({ apart }) => `syncline:{1}:frames:main:${apart}`)[0]!);
    const elements = await queue.fetch('main', 1, ALL);
    expect(elements.map(({ stream, frame }) => [stream, frame.length])).toEqual([
      [A, 0],
      [A, 2],
      [A, LARGE_BYTES + 3],
    ]);
    // A slice drops it, and sets the record back to the watermark.
    expect(readElement(elements[0]!, 1e6).content.type).toBe('corrupt');
    expect(await trim(queue, elements)).toBe(true);
    expect(await kept(server)).toEqual([]);
  });

  test('that are trimmed while they are read are no damage: what comes behind is read', async () => {
    const server = await start();
    const queue = await open(server);
    await queue.append(1, [large(A, 1)]);
    await queue.append(1, [large(A, 2)]);
    const [first] = await queue.fetch('main', 1, ALL);
    let isTrimmed = false;
    const createDriver = (options: RedisOptions) => {
      const redis = driver(options);
      const call = redis.callBuffer.bind(redis) as (name: string, ...args: Argument[]) => Promise<unknown>;
      const callBuffer = async (name: string, ...args: Argument[]): Promise<unknown> => {
        if (name === 'GETRANGE' && !isTrimmed) {
          isTrimmed = true;
          expect(await trim(queue, [first!])).toBe(true);
        }
        return call(name, ...args);
      };
      return Object.assign(redis, { callBuffer });
    };
    const slow = await openRedisQueue(SETTINGS, { url: server.url, createDriver });
    cleanups.push(() => slow.close());
    expect((await slow.fetch('main', 1, ALL)).map(({ frame }) => Buffer.from(frame))).toEqual([large(A, 2).frame]);
    expect(isTrimmed).toBe(true);
  });
});

function large(stream: string, seq: number) {
  return entry(stream, seq, { frame: Buffer.alloc(LARGE_BYTES + seq, `${stream[0]}${seq}`) });
}

function driver(options: RedisOptions): Redis {
  return new Redis({ ...options, replyMapping: 'legacy' });
}

/** A driver that does something directly behind the first `times` commands with large frames. */
function withFault(times: number, fault: (redis: Redis, key: string) => void) {
  let left = times;
  return (options: RedisOptions) => {
    const redis = driver(options);
    const send = redis.sendCommand.bind(redis);
    return Object.assign(redis, {
      sendCommand: (...args: Parameters<typeof send>) => {
        const [command] = args;
        const reply = send(...args);
        if (command instanceof PiecesCommand && left-- > 0) fault(redis, String(command.parts[1]));
        return reply;
      },
    });
  };
}
