import { afterEach, describe, expect, test } from 'vitest';
import { openQueueReader } from '../../src/queue/open.ts';
import type { Queue, QueueReader } from '../../src/queue/queue.ts';
import { openRedisQueue, type RedisQueueOptions } from '../../src/queue/redis/redis-queue.ts';
import { A, ALL, B, codeOf, entries, entry, lease, placeAt, SETTINGS, texts } from '../contract/queue.contract.ts';
import { documentedUser } from '../support/documented-user.ts';
import { eventually } from '../support/eventually.ts';
import { freeze, thaw } from '../support/freeze.ts';
import { startRedisCluster, type RedisCluster, type RedisClusterOptions } from '../support/redis-cluster.ts';
import { redisAvailable, type RedisServer } from '../support/redis-server.ts';

const PATIENCE_MS = 90_000;
/** A call whose outcome was unknown is made again, and may find that it was carried out. */
const STORED: unknown = expect.stringMatching(/^(append|duplicate)$/);
const PARTITIONS = [0, 1, 2, 3];

describe.skipIf(!redisAvailable())('a queue in a Redis Cluster', { timeout: 3 * PATIENCE_MS }, () => {
  const cleanups: (() => unknown)[] = [];
  afterEach(async () => {
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  });

  const start = async (options: RedisClusterOptions = {}): Promise<RedisCluster> => {
    const cluster = await startRedisCluster(options);
    cleanups.push(() => cluster.close());
    return cluster;
  };
  const open = async ({ url }: RedisCluster, options: Partial<RedisQueueOptions> = {}): Promise<Queue> => {
    const queue = await openRedisQueue(SETTINGS, { url, pollMs: 100, ...options });
    cleanups.push(() => queue.close());
    expect(reason(queue)).toBe('open');
    return queue;
  };
  const openReader = async ({ url }: RedisCluster): Promise<QueueReader> => {
    const reader = await openQueueReader({ url }, { folder: '' });
    cleanups.push(() => reader.close());
    return reader;
  };
  const reason = (queue: Queue) => (queue.admission.state === 'held' ? queue.admission.reason : 'open');
  const becomes = (queue: Queue, pattern: RegExp) => eventually(() => expect(reason(queue)).toMatch(pattern), PATIENCE_MS);
  const appends = (queue: Queue, partition: number, from: number, to: number) =>
    eventually(async () => (await queue.append(partition, entries(A, from, to))).map(({ verdict }) => verdict), PATIENCE_MS);
  const slotOfPartition = (cluster: RedisCluster, partition: number) => cluster.slotOf(`{${partition}}`);
  const ownerOf = async (cluster: RedisCluster, partition: number) => cluster.ownerOf(await slotOfPartition(cluster, partition));
  /** A master that does not serve the partition. */
  const otherThan = async (cluster: RedisCluster, partition: number, masters = 3): Promise<RedisServer> => {
    const owner = await ownerOf(cluster, partition);
    return cluster.nodes.slice(0, masters).find((node) => node !== owner) as RedisServer;
  };

  /** Sends to every partition and drains it at the same time, until it is told to stop; gives what was acknowledged and what was drained. */
  const load = (queue: Queue, reader: QueueReader) => {
    const stop = new AbortController();
    const sent = new AbortController();
    const stored = PARTITIONS.map(() => 0);
    const drained = PARTITIONS.map((): string[] => []);
    const sending = PARTITIONS.map(async (partition) => {
      while (!stop.signal.aborted) {
        const from = stored[partition]! + 1;
        const results = await queue.append(partition, entries(A, from, from + 3)).catch(() => []);
        for (const { verdict, stored: place } of results) {
          expect(['append', 'duplicate']).toContain(verdict);
          stored[partition] = Math.max(stored[partition]!, place.seq);
        }
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    });
    const draining = PARTITIONS.map(async (partition) => {
      const held = lease(partition);
      while (!sent.signal.aborted || placeOf(drained[partition]!.at(-1)) < stored[partition]!) {
        try {
          await queue.acquire(held, 'node', 60_000, 'steal');
          const elements = await reader.fetch('main', partition, { elements: 64, bytes: 1 << 20 });
          const last = elements.at(-1);
          const apart = [...new Set(elements.flatMap((element) => element.apart ?? []))];
          if (last !== undefined && (await queue.trim(held, elements.length, last.identity, [], apart)))
            drained[partition]!.push(...texts(elements));
        } catch {
          // Where a node is away or keys travel, it is tried again.
        }
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    });
    return {
      stored,
      progress: async () => {
        const before = [...stored];
        await eventually(() => PARTITIONS.forEach((p) => expect(stored[p]).toBeGreaterThan(before[p]! + 20)), PATIENCE_MS);
      },
      finish: async () => {
        stop.abort();
        // What is on its way is acknowledged after that.
        await Promise.all(sending);
        sent.abort();
        await Promise.all(draining);
        return drained;
      },
    };
  };
  const sequence = (count: number) => Array.from({ length: count }, (_, i) => `a${i + 1}`);

  test.each(['in the list', 'beside the list'])(
    'slots that are handed over under load lose nothing and repeat nothing, with frames %s',
    async (where) => {
      const cluster = await start();
      const queue = await open(cluster, where === 'in the list' ? {} : { apartLimits: { frameBytes: 0, callBytes: 1 } });
      const running = load(queue, await openReader(cluster));
      for (let round = 0; round < 3; round++) {
        for (const partition of PARTITIONS) {
          await running.progress();
          await cluster.moveSlot(await slotOfPartition(cluster, partition), await otherThan(cluster, partition));
        }
      }
      await running.progress();
      const drained = await running.finish();
      PARTITIONS.forEach((partition) => expect(drained[partition]).toEqual(sequence(running.stored[partition]!)));
      expect((await queue.backlog('main')).map(({ count }) => count)).toEqual([0, 0, 0, 0]);
      // Those that were sent to where the keys of their partition were not expire.
      for (const node of cluster.nodes) await eventually(async () => expect(await node.command('KEYS', '*:frames:*')).toBe('*0'));
    },
  );

  test('the installation may be handed over too', async () => {
    const cluster = await start();
    const queue = await open(cluster);
    const slot = await cluster.slotOf('syncline:meta');
    const owner = await cluster.ownerOf(slot);
    await cluster.moveSlot(slot, cluster.nodes.find((node) => node !== owner) as RedisServer);
    expect(await appends(queue, 1, 1, 1)).toEqual([STORED]);
    const other = { ...SETTINGS, partitions: 8 };
    expect(await codeOf(openRedisQueue(other, { url: cluster.url }))).toBe('queue_mismatch');
  });

  test('while the keys of a partition are apart nothing is stored, and what lies alone is found where it is', async () => {
    const cluster = await start();
    const queue = await open(cluster);
    await appends(queue, 1, 1, 3);
    const held = lease(1);
    expect(await queue.acquire(held, 'node', 60_000, 'steal')).toMatchObject({ taken: true });
    const slot = await slotOfPartition(cluster, 1);
    const [source, target] = [await ownerOf(cluster, 1), await otherThan(cluster, 1)];
    const idOf = async (node: RedisServer) => (await node.command('CLUSTER', 'MYID')).split('\r\n').at(-1) as string;
    await target.command('CLUSTER', 'SETSLOT', String(slot), 'IMPORTING', await idOf(source));
    await source.command('CLUSTER', 'SETSLOT', String(slot), 'MIGRATING', await idOf(target));
    for (const key of ['syncline:{1}:streams', 'syncline:{1}:list:main'])
      await source.command('MIGRATE', '127.0.0.1', String(target.port), key, '0', '5000');
    expect(await codeOf(queue.append(1, entries(A, 4, 4)))).toBe('queue_unavailable');
    expect(await queue.streams(1)).toEqual(new Map([[A, placeAt(3)]]));
    expect(texts(await queue.fetch('main', 1, ALL))).toEqual(['a1', 'a2', 'a3']);
    expect(await queue.acquire({ ...held, token: 'f'.repeat(32) }, 'other', 60_000, 'wait')).toMatchObject({
      taken: false,
      holder: 'node',
    });
    expect(await source.command('CLUSTER', 'COUNTKEYSINSLOT', String(slot))).toBe(':2');
    expect(await target.command('CLUSTER', 'COUNTKEYSINSLOT', String(slot))).toBe(':2');
    expect(await queue.renew([held], 60_000)).toEqual([true]);
    // The rest follows.
    await cluster.moveSlot(slot, target);
    expect(await appends(queue, 1, 4, 4)).toEqual([STORED]);
    expect(await queue.renew([held], 60_000)).toEqual([true]);
  });

  test('a node that is away holds admission, and nothing else of the partitions of others', async () => {
    const cluster = await start({ args: ['--cluster-require-full-coverage', 'no', '--appendonly', 'yes', '--appendfsync', 'always'] });
    const queue = await open(cluster);
    const reader = await openReader(cluster);
    for (const partition of PARTITIONS) await appends(queue, partition, 1, 2);
    const victim = await ownerOf(cluster, 1);
    const owners = await Promise.all(PARTITIONS.map((partition) => ownerOf(cluster, partition)));
    const others = PARTITIONS.filter((partition) => owners[partition] !== victim);
    expect(others.length).toBeGreaterThan(0);
    await victim.kill();
    await becomes(queue, /^queue_/);
    expect(await codeOf(queue.append(1, entries(A, 3, 3)))).toMatch(/^queue_(unavailable|readonly)$/);
    for (const partition of others) {
      const held = lease(partition);
      expect(await queue.acquire(held, 'node', 60_000, 'steal')).toMatchObject({ taken: true });
      expect(await appends(queue, partition, 3, 3)).toEqual([STORED]);
      const elements = await eventually(() => reader.fetch('main', partition, ALL), PATIENCE_MS);
      expect(texts(elements)).toEqual(['a1', 'a2', 'a3']);
      expect(await queue.trim(held, 3, elements[2]!.identity, [])).toBe(true);
    }
    await victim.restart();
    await becomes(queue, /^open$/);
    expect(await appends(queue, 1, 3, 3)).toEqual([STORED]);
    expect(texts(await queue.fetch('main', 1, ALL))).toEqual(['a1', 'a2', 'a3']);
  });

  describe('with replicas', () => {
    test('a replica that takes over under load has all that was acknowledged, whether it was asked to or its master was killed', async () => {
      const cluster = await start({ replicas: 1 });
      const queue = await open(cluster, { replicas: 1 });
      const running = load(queue, await openReader(cluster));
      await running.progress();
      const owner = await ownerOf(cluster, 1);
      const replica = cluster.nodes[3 + cluster.nodes.indexOf(owner)] as RedisServer;
      await cluster.promote(replica);
      await running.progress();
      await cluster.settled();
      await becomes(queue, /^open$/);
      await replica.kill();
      await eventually(async () => expect(await ownerOf(cluster, 1)).toBe(owner), PATIENCE_MS);
      // It has no replica before the other one is back.
      await becomes(queue, /^queue_unreplicated: /);
      await replica.restart();
      await becomes(queue, /^open$/);
      await running.progress();
      const drained = await running.finish();
      // What was trimmed at the old master may be there again at the new one, in order; the sink drops it.
      PARTITIONS.forEach((partition) => expect(withoutRepeats(drained[partition]!)).toEqual(sequence(running.stored[partition]!)));
    });

    test('one master whose replica stands still holds back what lies on it, and is waited for', async () => {
      const cluster = await start({ replicas: 1, args: ['--cluster-replica-no-failover', 'yes'] });
      const queue = await open(cluster, { replicas: 1 });
      const owner = await ownerOf(cluster, 1);
      const replica = cluster.nodes[3 + cluster.nodes.indexOf(owner)] as RedisServer;
      await freeze(replica.pid);
      cleanups.push(() => thaw(replica.pid));
      expect(await codeOf(queue.append(1, entries(A, 1, 1)))).toBe('queue_unreplicated');
      expect(await codeOf(queue.append(1, entries(A, 1, 1)))).toBe('queue_unreplicated');
      expect(reason(queue)).toMatch(/^queue_unreplicated: /);
      thaw(replica.pid);
      await becomes(queue, /^open$/);
      expect(await appends(queue, 1, 1, 1)).toEqual(['duplicate']);
    });
  });

  test('the permissions that the documentation names are enough, and none is missing while a slot is handed over', async () => {
    const cluster = await start({ replicas: 1 });
    await cluster.onEach('ACL', 'SETUSER', 'syncline', ...documentedUser('secret', 'cluster'));
    const url = cluster.url.replace('://', '://syncline:secret@');
    const queue = await open({ ...cluster, url }, { replicas: 1 });
    const running = load(queue, await openReader({ ...cluster, url }));
    for (const partition of PARTITIONS) {
      await running.progress();
      await cluster.moveSlot(await slotOfPartition(cluster, partition), await otherThan(cluster, partition));
    }
    await running.progress();
    await running.finish();
    for (const node of cluster.nodes) expect(await node.command('ACL', 'LOG')).not.toContain('syncline');
  });

  test('a node that forgot the scripts is given them again', async () => {
    const cluster = await start();
    const queue = await open(cluster);
    await cluster.onEach('SCRIPT', 'FLUSH');
    for (const partition of PARTITIONS) expect((await queue.append(partition, [entry(B, 1)]))[0]?.verdict).toBe('append');
  });

  test('with nobody there it waits, and begins when the cluster comes', async () => {
    const cluster = await start();
    await Promise.all(cluster.nodes.map((node) => node.kill()));
    const queue = await openRedisQueue(SETTINGS, { url: cluster.url, pollMs: 100 });
    cleanups.push(() => queue.close());
    expect(reason(queue)).toMatch(/^queue_unavailable: /);
    expect(await codeOf(queue.append(1, entries(A, 1, 1)))).toBe('queue_unavailable');
    await Promise.all(cluster.nodes.map((node) => node.restart()));
    await becomes(queue, /^open$/);
    expect(await appends(queue, 1, 1, 1)).toEqual([STORED]);
  });
});

/** As the sink sees it: what is at or below the watermark is dropped. */
function withoutRepeats(drained: readonly string[]): string[] {
  let watermark = 0;
  return drained.filter((text) => {
    const seq = placeOf(text);
    if (seq <= watermark) return false;
    watermark = seq;
    return true;
  });
}

/** The seq in the text of a frame; 0 of none. */
function placeOf(text: string | undefined): number {
  return Number(text?.slice(1) ?? 0);
}
