import { afterEach, describe, expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { NEXT_MINOR, OTHER_ELEMENTS } from '../support/next-version.ts';
import { ServerProcess } from '../support/server-process.ts';
import { patchedEnv, type SourcePatch } from '../support/source-patches.ts';
import { FaultWorld, LEASE_MS, missingFor } from './fault-world.ts';

const ROUNDS = 4;
const NOTHING = { lost: [], duplicated: [], outOfOrder: [], other: [] };
const LONG = { timeout: 300_000 };

describe.skipIf(missingFor('services') !== undefined)('a node of another version on the same queue and sink', () => {
  let world: FaultWorld;
  let other: ServerProcess;
  afterEach(async () => {
    await other?.close();
    await world?.close();
  });

  /** A world of this version, with a client of it and one of the other version, and a node of that which does not run yet. */
  async function begin(patches: readonly SourcePatch[]): Promise<void> {
    world = await FaultWorld.start('services', { bystanders: 1 });
    const { toRedis, toMariadb } = world.services;
    other = await ServerProcess.create({
      SYNCLINE_QUEUE: `redis://127.0.0.1:${toRedis.port}`,
      SYNCLINE_SINK: `mysql://root@127.0.0.1:${toMariadb.port}/shop`,
      SYNCLINE_APPLY_LEASE_MS: String(LEASE_MS),
      ...patchedEnv(patches),
    });
  }

  async function renewClient(patches: readonly SourcePatch[]): Promise<void> {
    await world.producer.stop('SIGKILL');
    world.producer.start(patchedEnv(patches));
    await world.producer.sending();
  }

  /** From now on clients come to `server`. */
  async function direct(server: ServerProcess): Promise<void> {
    world.server = server;
    world.door.retarget(server.tcpPort);
    world.door.reset();
    world.struck();
    await world.advance();
  }

  /** How often `server` said that it applies partitions which it did not apply before. */
  function takings(server: ServerProcess): number {
    return server.output.split('"partitions are applied"').length - 1;
  }

  test('takes over, and gives back, one after the other', LONG, async () => {
    await begin(NEXT_MINOR);
    const ours = world.server;
    await renewClient(NEXT_MINOR);
    for (let round = 0; round < ROUNDS; round++) {
      const [ending, following] = round % 2 === 0 ? [ours, other] : [other, ours];
      expect(await ending.stop('SIGTERM')).toBe(0);
      await following.start();
      await direct(following);
      expect((await following.status()).version).toBe(following === other ? '0.2.0' : '0.1.0');
    }
    expect(await world.audit()).toMatchObject(NOTHING);
    expect(await world.services.mariadb.query(`SELECT COUNT(*)>0 AS moved FROM syncline_watermark WHERE moved_by='0.2.0'`, 'shop')).toEqual(
      [{ moved: 1 }],
    );
  });

  test('runs beside it, and each takes the leases of the other', LONG, async () => {
    await begin(NEXT_MINOR);
    const ours = world.server;
    await renewClient(NEXT_MINOR);
    await other.start();
    // Each has them, loses them and takes them back.
    for (let round = 0; round < ROUNDS; round++) {
      const server = round % 2 === 0 ? other : ours;
      const before = takings(server);
      await direct(server);
      await eventually(() => expect(takings(server)).toBeGreaterThan(before), 30_000);
    }
    // Only one of them is waited for at the end.
    expect(await ours.stop('SIGTERM')).toBe(0);
    await direct(other);
    expect(await world.audit()).toMatchObject(NOTHING);
  });

  test('stores what this one does not know: its partitions stop and say so, and nothing of it is touched', LONG, async () => {
    await begin(OTHER_ELEMENTS);
    const ours = world.server;
    const { mariadb, redis } = world.services;
    expect(await ours.stop('SIGTERM')).toBe(0);
    await other.start();
    await direct(other);
    // What is stored meanwhile stays.
    await mariadb.kill('SIGKILL');
    await eventually(async () => expect((await other.status()).lag.batches).toBeGreaterThan(50), 30_000);
    await other.stop('SIGKILL');
    await mariadb.restart();
    const stored = await lengths();
    world.door.retarget(ours.tcpPort);
    await ours.start();
    const stopped = await eventually(async () => {
      const { partitions } = await ours.status();
      const some = partitions.filter(({ state, detail }) => state === 'retrying' && detail.includes('newer_format'));
      const expected = Object.values(stored).filter((count) => count > 0).length;
      if (some.length < expected) throw new Error(`${some.length} of ${expected} partitions say so: ${JSON.stringify(partitions)}`);
      return some.map(({ partition }) => partition);
    }, 60_000);
    // Clients send more behind it; what was there before is still there.
    const now = await lengths();
    for (const partition of stopped) expect(now[partition]).toBeGreaterThanOrEqual(stored[partition] ?? 0);
    expect(ours.output).not.toContain('corrupt_element');
    expect(await ours.stop('SIGTERM')).toBe(0);
    await other.start();
    await direct(other);
    expect(await world.audit()).toMatchObject(NOTHING);

    async function lengths(): Promise<Record<number, number>> {
      const counts: Record<number, number> = {};
      for (let partition = 0; partition < 16; partition++)
        counts[partition] = Number((await redis.command('LLEN', `syncline:{${partition}}:list:main`)).slice(1));
      return counts;
    }
  });
});
