import { afterEach, describe, expect, test } from 'vitest';
import { openQueueReader } from '../../src/queue/open.ts';
import type { Queue, QueueEvent } from '../../src/queue/queue.ts';
import { openRedisQueue, type RedisQueueOptions } from '../../src/queue/redis/redis-queue.ts';
import { A, ALL, codeOf, entries, lease, placeAt, SETTINGS, texts } from '../contract/queue.contract.ts';
import { documentedUser } from '../support/documented-user.ts';
import { eventually } from '../support/eventually.ts';
import { freeze, thaw } from '../support/freeze.ts';
import { startSentinelGroup, type SentinelGroup } from '../support/redis-sentinel.ts';
import { redisAvailable, type RedisServer } from '../support/redis-server.ts';

const PATIENCE_MS = 90_000;
/** A call whose outcome was unknown is made again, and may find that it was carried out. */
const STORED: unknown = expect.stringMatching(/^(append|duplicate)$/);

describe.skipIf(!redisAvailable())('a queue whose Redis is under Sentinel', { timeout: 3 * PATIENCE_MS }, () => {
  const cleanups: (() => unknown)[] = [];
  afterEach(async () => {
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  });

  const start = async (args: readonly string[] = []): Promise<SentinelGroup> => {
    const group = await startSentinelGroup({ args });
    cleanups.push(() => group.close());
    return group;
  };
  const open = async ({ url }: SentinelGroup, options: Partial<RedisQueueOptions> = {}): Promise<Queue> => {
    const queue = await openRedisQueue(SETTINGS, { url, pollMs: 100, ...options });
    cleanups.push(() => queue.close());
    return queue;
  };
  const reason = (queue: Queue) => (queue.admission.state === 'held' ? queue.admission.reason : 'open');
  const becomes = (queue: Queue, pattern: RegExp) => eventually(() => expect(reason(queue)).toMatch(pattern), PATIENCE_MS);
  const appends = (queue: Queue, from: number, to: number) =>
    eventually(async () => (await queue.append(1, entries(A, from, to))).map(({ verdict }) => verdict), PATIENCE_MS);
  const hasFrames = async (server: RedisServer, count: number) =>
    expect(await server.command('LLEN', 'syncline:{1}:list:main')).toBe(`:${count}`);
  const becomesMaster = (group: SentinelGroup, server: RedisServer) =>
    eventually(async () => expect(await group.master()).toBe(server), PATIENCE_MS);
  const connections = (queue: Queue) => {
    const seen: QueueEvent[] = [];
    queue.watch((event) => {
      if (event.type === 'connected') seen.push(event);
    });
    return seen;
  };

  test('goes on with the replica when the master is killed, and reads there too; the old master comes back as a replica', async () => {
    const group = await start();
    const [first, second] = group.servers as [RedisServer, RedisServer];
    const queue = await open(group);
    const reader = await openQueueReader({ url: group.url }, { folder: '' });
    cleanups.push(() => reader.close());
    const connected = connections(queue);
    expect(await appends(queue, 1, 3)).toEqual([STORED, STORED, STORED]);
    await group.inSync();
    await first.kill();
    await becomes(queue, /^queue_unavailable: /);
    await becomesMaster(group, second);
    await becomes(queue, /^open$/);
    expect(connected.length).toBeGreaterThan(0);
    expect(await appends(queue, 4, 4)).toEqual([STORED]);
    const read = () => eventually(async () => texts(await reader.fetch('main', 1, ALL)), PATIENCE_MS);
    expect(await read()).toEqual(['a1', 'a2', 'a3', 'a4']);
    await first.restart();
    await group.inSync();
    expect(await appends(queue, 5, 5)).toEqual([STORED]);
    await hasFrames(second, 5);
    const before = connected.length;
    expect(await group.promote()).toBe(first);
    // What the old master takes until it is left may be lost.
    await eventually(() => expect(connected.length).toBeGreaterThan(before), PATIENCE_MS);
    await becomes(queue, /^open$/);
    expect(await appends(queue, 6, 6)).toEqual([STORED]);
    await hasFrames(first, 6);
    expect(await read()).toEqual(['a1', 'a2', 'a3', 'a4', 'a5', 'a6']);
  });

  test('leaves a master that still answers when the Sentinels name another, and tells what that one lacks', async () => {
    const group = await start();
    const [first, second] = group.servers as [RedisServer, RedisServer];
    const queue = await open(group);
    const reader = await openQueueReader({ url: group.url }, { folder: '' });
    cleanups.push(() => reader.close());
    await appends(queue, 1, 2);
    await group.inSync();
    await group.isolate(first);
    // The old master takes it, and nobody else will ever have it.
    expect(await appends(queue, 3, 3)).toEqual([STORED]);
    await becomesMaster(group, second);
    await eventually(async () => {
      expect(reason(queue)).toBe('open');
      expect((await queue.append(1, entries(A, 4, 4)))[0]).toEqual({ verdict: 'gap', stored: placeAt(2) });
    }, PATIENCE_MS);
    await eventually(async () => expect(texts(await reader.fetch('main', 1, ALL))).toEqual(['a1', 'a2']), PATIENCE_MS);
    // The sink says what was applied; what is above it and missing is asked for again.
    const held = lease(1);
    expect(await queue.acquire(held, 'node', 60_000, 'steal')).toMatchObject({ taken: true });
    expect(await queue.heal(held, new Map([[A, placeAt(0)]]))).toEqual([]);
    const floor = { partition: 1, stream: A, producer: 'shop', place: placeAt(3) };
    expect(await queue.raise([floor])).toEqual([placeAt(3)]);
    expect(await appends(queue, 4, 4)).toEqual([STORED]);
    await group.rejoin(first);
    await group.inSync();
    await hasFrames(first, 3);
  });

  test('works on with the master while no Sentinel can be reached, also over new connections', async () => {
    const group = await start();
    const [first] = group.servers as [RedisServer, RedisServer];
    const queue = await open(group);
    for (const proxy of group.proxies) {
      proxy.refuse();
      proxy.reset();
    }
    expect(await appends(queue, 1, 1)).toEqual([STORED]);
    await first.command('CLIENT', 'KILL', 'TYPE', 'normal');
    expect(await appends(queue, 2, 2)).toEqual([STORED]);
    for (const proxy of group.proxies) proxy.heal();
    expect(await group.promote()).toBe(group.servers[1]);
    await becomes(queue, /^open$/);
    expect(await appends(queue, 3, 3)).toEqual([STORED]);
  });

  test('is not led to a replica by a Sentinel that was cut off and names it', async () => {
    const group = await start();
    const cutOff = await group.startCutOff();
    const second = await group.promote();
    const addresses = `127.0.0.1:${cutOff.port}`;
    const misled = await open({ ...group, url: `redis+sentinel://:secret@${addresses}/main` });
    expect(reason(misled)).toMatch(/^queue_readonly: .* is a replica, and is named as the master/);
    expect(await codeOf(misled.append(1, entries(A, 1, 1)))).toBe('queue_readonly');
    // One that has heard of the promotion is enough.
    const queue = await open({ ...group, url: `redis+sentinel://:secret@${addresses},127.0.0.1:${group.sentinels[0]!.port}/main` });
    expect(reason(queue)).toBe('open');
    expect(await appends(queue, 1, 1)).toEqual([STORED]);
    await hasFrames(second, 1);
  });

  test('needs no permissions but those that the documentation names', async () => {
    const group = await start();
    for (const server of group.servers) await server.command('ACL', 'SETUSER', 'syncline', ...documentedUser('secret', 'sentinel'));
    const queue = await open({ ...group, url: group.url.replace('://:', '://syncline:') }, { replicas: 1 });
    expect(reason(queue)).toBe('open');
    expect(await appends(queue, 1, 1)).toEqual([STORED]);
    expect((await queue.streams(1)).size).toBe(1);
    expect(await group.promote()).toBe(group.servers[1]);
    await becomes(queue, /^open$/);
    expect(await appends(queue, 2, 2)).toEqual([STORED]);
    for (const server of group.servers) expect(await server.command('ACL', 'LOG')).not.toContain('syncline');
  });

  describe('and which waits for replicas', () => {
    test('acknowledges nothing that only the master has, holds producers back, and acknowledges it when a replica has it', async () => {
      const group = await start();
      const [first, second] = group.servers as [RedisServer, RedisServer];
      const queue = await open(group, { replicas: 1 });
      expect(await appends(queue, 1, 1)).toEqual([STORED]);
      await hasFrames(second, 1);
      await freeze(second.pid);
      cleanups.push(() => thaw(second.pid));
      expect(await codeOf(queue.append(1, entries(A, 2, 2)))).toBe('queue_unreplicated');
      expect(reason(queue)).toMatch(/^queue_unreplicated: 0 of 1 replicas/);
      // It lies on the master: a duplicate, which is not acknowledged either, over whatever connection it comes.
      await hasFrames(first, 2);
      expect(await codeOf(queue.append(1, entries(A, 2, 2)))).toBe('queue_unreplicated');
      await first.command('CLIENT', 'KILL', 'TYPE', 'normal');
      const floor = { partition: 1, stream: A, producer: 'shop', place: { seq: 0, crc: 0 } };
      await eventually(async () => expect(await codeOf(queue.append(1, entries(A, 2, 2)))).toBe('queue_unreplicated'), PATIENCE_MS);
      expect(await codeOf(queue.raise([floor]))).toBe('queue_unreplicated');
      thaw(second.pid);
      await becomes(queue, /^open$/);
      expect(await appends(queue, 2, 2)).toEqual(['duplicate']);
      await hasFrames(second, 2);
    });

    test('leases, reading and trimming go on while too few follow', async () => {
      const group = await start();
      const queue = await open(group, { replicas: 1 });
      await appends(queue, 1, 2);
      await freeze(group.servers[1]!.pid);
      cleanups.push(() => thaw(group.servers[1]!.pid));
      await becomes(queue, /^queue_unreplicated: /);
      const held = lease(1);
      expect(await queue.acquire(held, 'node', 60_000, 'steal')).toMatchObject({ taken: true });
      const elements = await queue.fetch('main', 1, ALL);
      expect(await queue.trim(held, 2, elements[1]!.identity, [])).toBe(true);
      expect(await queue.renew([held], 60_000)).toEqual([true]);
    });

    test('what was acknowledged is there after the master was killed', async () => {
      const group = await start();
      const [first, second] = group.servers as [RedisServer, RedisServer];
      const queue = await open(group, { replicas: 1 });
      let stored = 0;
      const stop = new AbortController();
      const sending = (async () => {
        while (!stop.signal.aborted) {
          const sent = await queue.append(1, entries(A, stored + 1, stored + 8)).catch(() => undefined);
          if (sent !== undefined) stored = sent.at(-1)!.stored.seq;
          await new Promise((resolve) => setTimeout(resolve, 1));
        }
      })();
      await eventually(() => expect(stored).toBeGreaterThan(100), PATIENCE_MS);
      await first.kill();
      stop.abort();
      await sending;
      await becomesMaster(group, second);
      const [, count] = /^:(\d+)$/.exec(await second.command('LLEN', 'syncline:{1}:list:main')) ?? [];
      expect(Number(count)).toBeGreaterThanOrEqual(stored);
      // No replica is left.
      await becomes(queue, /^queue_unreplicated: /);
      await first.restart();
      await group.inSync();
      await becomes(queue, /^open$/);
      expect(await appends(queue, stored + 1, stored + 9)).toHaveLength(9);
    });

    test('says at the start what is unwise about the servers', async () => {
      const group = await start(['--maxmemory', '100mb']);
      const warnings: string[] = [];
      await open(group, { replicas: 2, warn: (message) => warnings.push(message) });
      expect(warnings.join('\n')).toMatch(/queue\.replicas is 2, and redis has fewer \(1\) connected/);
      expect(warnings.join('\n')).toMatch(/repl-backlog-size 1048576.*client-output-buffer-limit/);
    });
  });

  test('a replica that has to copy everything anew misses nothing', async () => {
    const group = await start(['--repl-backlog-size', '16kb']);
    const [first, second] = group.servers as [RedisServer, RedisServer];
    const queue = await open(group, { replicas: 1 });
    await appends(queue, 1, 1);
    await group.isolate(first);
    const big = { frame: Buffer.alloc(100_000, 'x') };
    const [two] = entries(A, 2, 2);
    expect(await codeOf(queue.append(1, [{ ...two!, ...big }]))).toBe('queue_unreplicated');
    await group.rejoin(first);
    await becomes(queue, /^open$/);
    const [result] = await eventually(() => queue.append(1, [{ ...two!, ...big }]), PATIENCE_MS);
    expect(['append', 'duplicate']).toContain(result?.verdict);
    await group.inSync();
    await hasFrames(second, 2);
    await hasFrames(first, 2);
  });
});
