import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { connect } from '../../src/client/client.ts';
import { auditFaults } from '../support/audit.ts';
import { countDatabaseEffects, createAuditedDatabase, readAuditedDatabase } from '../support/audited-database.ts';
import { runSyncline } from '../support/cli-process.ts';
import { eventually } from '../support/eventually.ts';
import { freeze, thaw } from '../support/freeze.ts';
import { mariadbAvailable, startMariadb, type MariadbServer } from '../support/mariadb-server.ts';
import { redisAvailable, startRedis, type RedisServer } from '../support/redis-server.ts';
import { RowLoad } from '../support/row-load.ts';
import { ServerProcess } from '../support/server-process.ts';

const ROUNDS = 8;
const DRAINS = 4;
/** Commands are processes of their own. */
const LONG_TEST = { timeout: 120_000 };

describe.skipIf(!redisAvailable() || !mariadbAvailable())('a server under load that is stopped', () => {
  let mariadb: MariadbServer;
  let redis: RedisServer;
  let server: ServerProcess;
  let load: RowLoad;
  const running: { close(): Promise<unknown> }[] = [];

  beforeAll(async () => {
    mariadb = await startMariadb();
  });
  beforeEach(async () => {
    await createAuditedDatabase(mariadb);
    redis = keep(await startRedis());
    server = keep(await ServerProcess.create({ SYNCLINE_QUEUE: redis.url, SYNCLINE_SINK: mariadb.url('shop') }));
    await server.start();
    const client = await connect({ url: server.url });
    keep({ close: () => client.close({ flush: false }) });
    load = new RowLoad(client);
    load.start();
    await load.more(100);
  });
  afterEach(async () => {
    thaw(mariadb.pid);
    for (const one of running.splice(0).toReversed()) await one.close();
  });
  afterAll(() => mariadb?.close());

  function keep<T extends { close(): Promise<unknown> }>(one: T): T {
    running.push(one);
    return one;
  }

  /** Everything that was written took effect once and in order, and the client saw no error, only reconnects. */
  async function expectExactlyOnce(): Promise<void> {
    await load.stop();
    const { audit, items, strayLetters } = await readAuditedDatabase(mariadb);
    const faults = auditFaults(load.history(), audit, items, load.keys);
    expect(faults.slice(0, 10), `${faults.length} faults`).toEqual([]);
    expect([load.written > 100, strayLetters, load.history().complaints]).toEqual([true, 0, []]);
  }

  async function advance(): Promise<void> {
    const before = await countDatabaseEffects(mariadb);
    await eventually(async () => expect(await countDatabaseEffects(mariadb)).toBeGreaterThan(before + 50), 30_000);
  }

  const drain = (...args: readonly string[]) => runSyncline(['drain', '--url', server.adminUrl, ...args]);
  const heldLeases = async () => (await redis.command('EVAL', "return #redis.call('KEYS', '*:lease:*')", '0')).trim();

  test(`and started again, ${ROUNDS} times, costs its clients a reconnect and nothing else`, LONG_TEST, async () => {
    for (let round = 0; round < ROUNDS; round++) {
      expect(await server.stop('SIGTERM')).toBe(0);
      expect(await heldLeases()).toBe(':0');
      await server.start();
      await advance();
    }
    await expectExactlyOnce();
  });

  test('is not ready while it finishes, and a second signal ends it at once', async () => {
    await freeze(mariadb.pid);
    // A slice is under way, and cannot end.
    await load.more(100);
    await eventually(async () => expect((await server.status()).lag.batches).toBeGreaterThan(0));
    server.signal('SIGTERM');
    await eventually(async () => expect((await server.status()).duty).toBe('stopping'));
    expect(await server.ready()).toBe(false);
    // As a shell writes that SIGTERM ended it.
    expect(await server.stop('SIGTERM')).toBe(143);
    thaw(mariadb.pid);
    await server.start();
    await expectExactlyOnce();
  });

  test('does not wait for ever for a database that does not answer', LONG_TEST, async () => {
    // Only over a connection that is there is an answer waited for so long: one that is opened is given up soon.
    await advance();
    await freeze(mariadb.pid);
    await load.more(100);
    await eventually(async () => {
      const drain = await fetch(`http://127.0.0.1:${server.adminPort}/api/v1/drain`);
      expect(((await drain.json()) as { slices: number }).slices).toBeGreaterThan(0);
    });
    expect(await server.stop('SIGTERM')).toBe(1);
    expect(server.output).toContain('what was in flight has not ended within 25 s');
    thaw(mariadb.pid);
    await server.start();
    await expectExactlyOnce();
  });

  test('was drained before has nothing left to finish', async () => {
    const { code, out, err } = await drain('--wait');
    expect({ code, last: out.trimEnd().split('\n').at(-1) }).toEqual({ code: 0, last: 'drained: no clients, no slices, no leases' });
    expect(out).toMatch(/^draining: waits for \d client/);
    expect(err).toContain('warning: this server runs alone');
    expect(await server.ready()).toBe(false);
    expect(await heldLeases()).toBe(':0');
    expect(await drain()).toMatchObject({ code: 0, out: 'drained: no clients, no slices, no leases\n' });
    // Whoever asks is told to go elsewhere, and comes back by itself.
    await load.more(50);
    expect((await server.status()).sessions.open).toBe(0);
    expect(await server.stop('SIGTERM')).toBe(0);
    await server.start();
    await expectExactlyOnce();
  });

  test(`is drained and put back, ${DRAINS} times, and nothing is lost`, LONG_TEST, async () => {
    for (let round = 0; round < DRAINS; round++) {
      expect((await drain('--wait')).code).toBe(0);
      expect(await drain('--undo')).toMatchObject({ code: 0, out: 'in service\n' });
      expect(await server.ready()).toBe(true);
      await advance();
    }
    await expectExactlyOnce();
  });
});
