import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { openQueueReader } from '../../src/queue/open.ts';
import type { Queue } from '../../src/queue/queue.ts';
import { openRedisQueue, type RedisQueueOptions } from '../../src/queue/redis/redis-queue.ts';
import { A, ALL, entries, SETTINGS, texts } from '../contract/queue.contract.ts';
import { createCertificate, type Certificate } from '../support/certificate.ts';
import { eventually } from '../support/eventually.ts';
import { startRedisCluster } from '../support/redis-cluster.ts';
import { startSentinelGroup } from '../support/redis-sentinel.ts';
import { redisAvailable, startRedis, type RedisServer } from '../support/redis-server.ts';

const PATIENCE_MS = 90_000;
/** A call whose outcome was unknown is made again, and may find that it was carried out. */
const STORED: unknown = expect.stringMatching(/^(append|duplicate)$/);

describe.skipIf(!redisAvailable())('a queue over TLS', { timeout: 3 * PATIENCE_MS }, () => {
  let folder: string;
  let own: Certificate;
  /** Who signed what the servers show, and somebody else. */
  let ca: string;
  let stranger: string;
  const cleanups: (() => unknown)[] = [];

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'syncline-redis-tls-'));
    own = createCertificate(folder, 'own');
    ca = readFileSync(own.ca, 'utf8');
    stranger = readFileSync(createCertificate(folder, 'stranger').ca, 'utf8');
  });
  afterEach(async () => {
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const keep = <T extends { close(): unknown }>(one: T): T => {
    cleanups.push(() => one.close());
    return one;
  };
  const open = async (url: string, options: Partial<RedisQueueOptions> = {}): Promise<Queue> =>
    keep(await openRedisQueue(SETTINGS, { url, tls: { ca }, pollMs: 100, ...options }));
  const reason = (queue: Queue) => (queue.admission.state === 'held' ? queue.admission.reason : 'open');
  const becomes = (queue: Queue, pattern: RegExp) => eventually(() => expect(reason(queue)).toMatch(pattern), PATIENCE_MS);
  const appends = (queue: Queue, partition: number, from: number, to: number) =>
    eventually(async () => (await queue.append(partition, entries(A, from, to))).map(({ verdict }) => verdict), PATIENCE_MS);
  const reads = async (url: string, partition: number) => {
    const reader = keep(await openQueueReader({ url, tls: { ca } }, { folder: '' }));
    return eventually(async () => texts(await reader.fetch('main', partition, ALL)), PATIENCE_MS);
  };
  /** Of two nodes on the same queue, one hears what the other says. */
  const expectHints = async (url: string) => {
    const [one, other] = [await open(url, { shared: true }), await open(url, { shared: true })];
    const heard: string[] = [];
    one.watch((event) => {
      if (event.type === 'announced') heard.push(event.message);
    });
    // What is said before the other listens is lost.
    await eventually(() => {
      other.announce('hint');
      expect(heard).toContain('hint');
    }, PATIENCE_MS);
  };
  const untrusted = (ports: readonly number[]) =>
    new RegExp(
      `^queue_unavailable: .*certificate \\(of 127\\.0\\.0\\.1:(${ports.join('|')}): does queue\\.tls\\.ca hold who signed it\\?\\)$`,
    );

  test('under Sentinel follows the master, and trusts nobody whose certificate it does not know', async () => {
    const group = keep(await startSentinelGroup({ tls: own }));
    const queue = await open(group.url);
    await becomes(queue, /^open$/);
    expect(await appends(queue, 1, 1, 2)).toEqual([STORED, STORED]);
    expect(await group.promote()).toBe(group.servers[1]);
    await becomes(queue, /^open$/);
    expect(await appends(queue, 1, 3, 3)).toEqual([STORED]);
    expect(await reads(group.url, 1)).toEqual(['a1', 'a2', 'a3']);
    await expectHints(group.url);

    const ports = group.proxies.map(({ port }) => port);
    await becomes(await open(group.url, { tls: { ca: stranger } }), untrusted(ports));
    await becomes(await open(group.url, { tls: {} }), untrusted(ports));
  });

  test('under Sentinel takes other certificates and another user for connections that are made later', async () => {
    const group = keep(await startSentinelGroup({ tls: own }));
    const onEachSentinel = (...args: string[]) => Promise.all(group.sentinels.map((sentinel) => sentinel.command(...args)));
    await onEachSentinel('ACL', 'SETUSER', 'node', 'on', '>two', '+@all');
    const queue = await open(group.url, { tls: { ca: stranger }, sentinel: { username: 'node', password: 'one' } });
    await becomes(queue, untrusted(group.proxies.map(({ port }) => port)));
    queue.useAccess?.({ url: group.url, tls: { ca }, sentinel: { username: 'node', password: 'one' } });
    await becomes(queue, /^queue_unavailable: .*WRONGPASS/);
    queue.useAccess?.({ url: group.url, tls: { ca }, sentinel: { username: 'node', password: 'two' } });
    await becomes(queue, /^open$/);
    expect(await appends(queue, 1, 1, 1)).toEqual([STORED]);
  });

  test('under Sentinels that name a port without TLS says which, and goes on when they name the right one', async () => {
    const group = keep(await startSentinelGroup({ tls: own }));
    const plain = keep(await startRedis());
    const watch = async (server: RedisServer) => {
      for (const sentinel of group.sentinels) {
        await sentinel.command('SENTINEL', 'REMOVE', 'main');
        await sentinel.command('SENTINEL', 'MONITOR', 'main', server.address, String(server.port), '2');
      }
    };
    await watch(plain);
    const queue = await open(group.url);
    await becomes(queue, new RegExp(`^queue_unavailable: .*127\\.0\\.0\\.1:${plain.port}, over TLS: is that its port with TLS`));
    await watch(group.servers[0] as RedisServer);
    await becomes(queue, /^open$/);
    expect(await appends(queue, 1, 1, 1)).toEqual([STORED]);
  });

  test('in a cluster reaches every node, also one that a slot was handed to, and trusts nobody whose certificate it does not know', async () => {
    const cluster = keep(await startRedisCluster({ tls: own }));
    const queue = await open(cluster.url);
    await becomes(queue, /^open$/);
    const partitions = Array.from({ length: SETTINGS.partitions }, (_, partition) => partition);
    for (const partition of partitions) expect(await appends(queue, partition, 1, 1)).toEqual([STORED]);
    const slot = await cluster.slotOf('{1}');
    const before = await cluster.ownerOf(slot);
    await cluster.moveSlot(slot, cluster.nodes.find((node) => node !== before) as RedisServer);
    expect(await appends(queue, 1, 2, 2)).toEqual([STORED]);
    expect(await reads(cluster.url, 1)).toEqual(['a1', 'a2']);
    await expectHints(cluster.url);

    await becomes(await open(cluster.url, { tls: { ca: stranger } }), untrusted(cluster.nodes.map(({ port }) => port)));
  });

  test('shows a certificate of its own where it is asked for one', async () => {
    const server = keep(await startRedis({ tls: own, args: ['--tls-auth-clients', 'yes'] }));
    const [cert, key] = [readFileSync(own.cert, 'utf8'), readFileSync(own.key, 'utf8')];
    await becomes(await open(server.url, { tls: { ca, cert, key } }), /^open$/);
    await becomes(await open(server.url), /^queue_unavailable: .*certificate required/);
  });

  test('is told apart from one without: each side says what the other may want', async () => {
    const [secure, plain] = [keep(await startRedis({ tls: own })), keep(await startRedis())];
    await becomes(
      await open(secure.url.replace('rediss', 'redis'), { tls: undefined }),
      /without TLS: does that port want it, with rediss/,
    );
    await becomes(await open(plain.url.replace('redis', 'rediss')), /over TLS: is that its port with TLS/);
  });
});
