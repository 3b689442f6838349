import { describe, expect, test } from 'vitest';
import { eventually } from './eventually.ts';
import { startRedisCluster } from './redis-cluster.ts';
import { startSentinelGroup } from './redis-sentinel.ts';
import { redisAvailable } from './redis-server.ts';

const TIMEOUT_MS = 180_000;

describe.skipIf(!redisAvailable())('servers that belong together', () => {
  test(
    'a master that is cut off from its Sentinels is replaced, takes writes all the same, and loses them when it comes back',
    { timeout: TIMEOUT_MS },
    async () => {
      const group = await startSentinelGroup();
      try {
        const [first, second] = group.servers;
        await group.isolate(first!);
        await eventually(async () => expect(await group.master()).toBe(second), TIMEOUT_MS);
        expect(await first!.command('SET', 'key', 'lost')).toBe('+OK');
        await group.rejoin(first!);
        await group.inSync();
        expect(await first!.command('GET', 'key')).toBe('$-1');
        expect(await group.promote()).toBe(first);
      } finally {
        await group.close();
      }
    },
  );

  test('a slot is handed over with its keys, and a replica takes the place of its master', { timeout: TIMEOUT_MS }, async () => {
    const cluster = await startRedisCluster({ masters: 2, replicas: 1 });
    try {
      const slot = await cluster.slotOf('key{3}');
      const owner = await cluster.ownerOf(slot);
      await owner.command('SET', 'key{3}', 'kept');
      const other = cluster.nodes.slice(0, 2).find((node) => node !== owner)!;
      await cluster.moveSlot(slot, other);
      expect(await other.command('GET', 'key{3}')).toBe('$4\r\nkept');
      const replica = cluster.nodes[2 + cluster.nodes.indexOf(other)]!;
      await cluster.promote(replica);
      await eventually(async () => expect(await cluster.ownerOf(slot)).toBe(replica), TIMEOUT_MS);
      await cluster.onEach('PING');
    } finally {
      await cluster.close();
    }
  });
});
