import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { connect } from '../../src/client/client.ts';
import { auditFaults } from '../support/audit.ts';
import { countDatabaseEffects, createAuditedDatabase, readAuditedDatabase } from '../support/audited-database.ts';
import { eventually } from '../support/eventually.ts';
import { mariadbAvailable, startMariadb, type MariadbServer } from '../support/mariadb-server.ts';
import { startRedisCluster } from '../support/redis-cluster.ts';
import { startSentinelGroup } from '../support/redis-sentinel.ts';
import { redisAvailable, type RedisServer } from '../support/redis-server.ts';
import { RowLoad } from '../support/row-load.ts';
import { ServerProcess } from '../support/server-process.ts';

const PATIENCE_MS = 120_000;

describe.skipIf(!redisAvailable() || !mariadbAvailable())(
  'under load, every change takes effect once',
  { timeout: 4 * PATIENCE_MS },
  () => {
    let mariadb: MariadbServer;
    /** Whatever a test started, ended in the opposite order. */
    const running: { close(): Promise<unknown> }[] = [];

    beforeAll(async () => {
      mariadb = await startMariadb();
    });
    beforeEach(async () => {
      await createAuditedDatabase(mariadb);
    });
    afterEach(async () => {
      for (const one of running.splice(0).toReversed()) await one.close();
    });
    afterAll(() => mariadb?.close());

    function keep<T extends { close(): Promise<unknown> }>(one: T): T {
      running.push(one);
      return one;
    }

    async function startLoad(queue: { readonly url: string }, replicas: number): Promise<RowLoad> {
      const server = keep(
        await ServerProcess.create({
          SYNCLINE_QUEUE: queue.url,
          SYNCLINE_QUEUE_PARTITIONS: '4',
          SYNCLINE_QUEUE_REPLICAS: String(replicas),
          SYNCLINE_SINK: mariadb.url('shop'),
          SYNCLINE_APPLY_LEASE_MS: '1000',
        }),
      );
      await server.start();
      const client = await connect({ url: server.url });
      keep({ close: () => client.close({ flush: false }) });
      const load = new RowLoad(client);
      load.start();
      return load;
    }

    /** Waits until rows take effect again. */
    async function advance(): Promise<void> {
      const before = await countDatabaseEffects(mariadb);
      await eventually(async () => expect(await countDatabaseEffects(mariadb)).toBeGreaterThan(before + 100), PATIENCE_MS);
    }

    async function expectExactlyOnce(load: RowLoad): Promise<void> {
      await load.stop();
      const { audit, items, strayLetters } = await readAuditedDatabase(mariadb);
      const faults = auditFaults(load.history(), audit, items, load.keys);
      // All of a large number would hide the first.
      expect(faults.slice(0, 10), `${faults.length} faults`).toEqual([]);
      expect(strayLetters).toBe(0);
    }

    test.each([0, 1])(
      'while masters under Sentinel are killed, asked to step down and cut off, with %i replicas waited for',
      async (replicas) => {
        const group = keep(await startSentinelGroup());
        const [first, second] = group.servers as [RedisServer, RedisServer];
        const load = await startLoad(group, replicas);
        await advance();

        await first.kill();
        await eventually(async () => expect(await group.master()).toBe(second), PATIENCE_MS);
        // With replicas, nothing more is stored before it is back.
        await first.restart();
        await advance();

        // The new master goes on taking changes that nobody else has, until the Sentinels name the other one.
        await group.inSync();
        await group.isolate(second);
        await eventually(async () => expect(await group.master()).toBe(first), PATIENCE_MS);
        await group.rejoin(second);
        await advance();

        await group.inSync();
        await first.command('CLIENT', 'KILL', 'TYPE', 'normal');
        await advance();
        await expectExactlyOnce(load);
      },
    );

    test('while slots of a cluster are handed over and a replica takes over', async () => {
      const cluster = keep(await startRedisCluster({ replicas: 1 }));
      const load = await startLoad(cluster, 0);
      const slots = await Promise.all([0, 1, 2, 3].map((partition) => cluster.slotOf(`{${partition}}`)));
      await advance();
      for (const slot of [...slots, ...slots]) {
        const owner = await cluster.ownerOf(slot);
        await cluster.moveSlot(slot, cluster.nodes.slice(0, 3).find((node) => node !== owner) as RedisServer);
      }
      await advance();
      const victim = await cluster.ownerOf(slots[1] as number);
      const replica = cluster.nodes[3 + cluster.nodes.indexOf(victim)] as RedisServer;
      await victim.kill();
      await eventually(async () => expect(await cluster.ownerOf(slots[1] as number)).toBe(replica), PATIENCE_MS);
      await advance();
      await victim.restart();
      await cluster.settled();
      await cluster.promote(victim);
      await advance();
      await expectExactlyOnce(load);
    });
  },
);
