import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { connect, type Client, type ConnectOptions } from '../../src/client/client.ts';
import { auditFaults } from '../support/audit.ts';
import { countDatabaseEffects, createAuditedDatabase, readAuditedDatabase } from '../support/audited-database.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';
import { freeze, thaw } from '../support/freeze.ts';
import { mariadbAvailable, startMariadb, type MariadbServer } from '../support/mariadb-server.ts';
import { redisAvailable, startRedis, type RedisServer } from '../support/redis-server.ts';
import { RowLoad } from '../support/row-load.ts';
import { ServerProcess } from '../support/server-process.ts';

const LEASE_MS = 1_000;
/** Longer than a lease. */
const FREEZE_MS = 1_500;

const available = redisAvailable() && mariadbAvailable();

describe.skipIf(!available)('what the server needs goes away and comes back', () => {
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

  async function startServer(redis: Pick<RedisServer, 'url'>): Promise<ServerProcess> {
    const server = keep(
      await ServerProcess.create({
        SYNCLINE_QUEUE: redis.url,
        SYNCLINE_SINK: mariadb.url('shop'),
        SYNCLINE_APPLY_LEASE_MS: String(LEASE_MS),
      }),
    );
    await server.start();
    return server;
  }

  async function connectTo(server: ServerProcess, options: ConnectOptions = {}): Promise<Client> {
    const client = await connect({ url: server.url, ...options });
    keep({ close: () => client.close({ flush: false }) });
    return client;
  }

  const effects = () => countDatabaseEffects(mariadb);

  /** Waits until rows take effect again. */
  async function advance(): Promise<void> {
    const before = await effects();
    await eventually(async () => expect(await effects()).toBeGreaterThan(before + 100));
  }

  async function expectExactlyOnce(load: RowLoad): Promise<void> {
    const { audit, items, strayLetters } = await readAuditedDatabase(mariadb);
    const faults = auditFaults(load.history(), audit, items, load.keys);
    // All of a large number would hide the first.
    expect(faults.slice(0, 10), `${faults.length} faults`).toEqual([]);
    expect(load.written).toBeGreaterThan(100);
    expect(strayLetters).toBe(0);
  }

  describe('the database', () => {
    test('is down at the start: changes are stored meanwhile, and applied once it is up', async () => {
      const redis = keep(await startRedis());
      await mariadb.kill('SIGKILL');
      const server = await startServer(redis);
      const client = await connectTo(server);
      const load = new RowLoad(client);
      load.start();
      await load.more(500);
      await client.flush({ until: 'stored' });
      expect(server.output).toContain('sink is away, changes are stored until it is back');
      const status = await server.status();
      expect(status).toMatchObject({
        queue: { admission: 'open' },
        sinks: [{ failure: expect.stringMatching(/^sink_unavailable: .*ECONNREFUSED/) }],
      });
      expect(status.partitions[0]).toMatchObject({ state: 'retrying', detail: expect.stringContaining('sink_unavailable') });
      await eventually(async () => expect((await server.status()).lag.batches).toBeGreaterThan(0));
      await mariadb.restart();
      await load.stop();
      expect((await server.status()).sinks[0]?.failure).toBeUndefined();
      await expectExactlyOnce(load);
    });

    test('is killed, and later frozen, under load: it goes on by itself', async () => {
      const redis = keep(await startRedis());
      const server = await startServer(redis);
      const client = await connectTo(server);
      const load = new RowLoad(client);
      load.start();
      await advance();

      await mariadb.kill('SIGKILL');
      await load.more(500);
      await client.flush({ until: 'stored' });
      await eventually(async () => expect((await server.status()).sinks[0]?.failure).toContain('sink_unavailable'));
      await mariadb.restart();
      await advance();

      await freeze(mariadb.pid);
      await load.more(500);
      await client.flush({ until: 'stored' });
      await delay(FREEZE_MS);
      thaw(mariadb.pid);
      await advance();
      await load.stop();
      await expectExactlyOnce(load);
    });

    test('is away when the server is asked to stop: it ends with 0, and nothing is lost', async () => {
      const redis = keep(await startRedis());
      const server = await startServer(redis);
      const client = await connectTo(server);
      const load = new RowLoad(client);
      load.start();
      await advance();
      await mariadb.kill('SIGKILL');
      await load.more(200);
      expect(await server.stop('SIGTERM')).toBe(0);
      // The second life does not even see it once.
      await server.start();
      await load.more(200);
      expect(await server.stop('SIGTERM')).toBe(0);
      await mariadb.restart();
      await server.start();
      await load.stop();
      await expectExactlyOnce(load);
    });
  });

  describe('Redis', () => {
    test('is down at the start: the server says so, clients wait, and everything is applied once it is up', async () => {
      const port = await freePort();
      const server = await startServer({ url: `redis://127.0.0.1:${port}` });
      const client = await connectTo(server, { offline: true });
      const load = new RowLoad(client);
      load.start();
      await load.more(500);
      expect(server.output).toMatch(
        /"reason":"queue_unavailable: redis cannot be reached: [^"]*ECONNREFUSED[^"]*","msg":"producers are held back"/,
      );
      expect(await server.status()).toMatchObject({
        ready: false,
        obstacles: [expect.stringContaining('queue_unavailable')],
        queue: { admission: 'held', detail: expect.stringContaining('ECONNREFUSED') },
      });
      expect(await server.ready()).toBe(false);
      expect(client.status().held).toContain('queue_unavailable');
      keep(await startRedis({ port }));
      await load.stop();
      expect(await server.ready()).toBe(true);
      await expectExactlyOnce(load);
    });

    test('is killed, and later frozen, under load: it goes on by itself', async () => {
      const redis = keep(await startRedis({ args: ['--appendonly', 'yes'] }));
      const server = await startServer(redis);
      const client = await connectTo(server);
      const held: string[] = [];
      client.on('held', ({ reason }) => held.push(reason));
      const load = new RowLoad(client);
      load.start();
      await advance();
      await redis.kill('SIGKILL');
      await load.more(500);
      await eventually(() => expect(held[0]).toContain('queue_unavailable'));
      await redis.restart();
      await advance();
      await freeze(redis.pid);
      await delay(FREEZE_MS);
      thaw(redis.pid);
      await advance();
      await load.stop();
      await expectExactlyOnce(load);
    });

    test('comes back empty: what it held is sent again, and applied once', async () => {
      const redis = keep(await startRedis());
      const server = await startServer(redis);
      const client = await connectTo(server);
      let rewinds = 0;
      client.on('rewind', () => rewinds++);
      const load = new RowLoad(client);
      load.start();
      await advance();
      // While the database stands still, Redis alone has what is stored.
      await freeze(mariadb.pid);
      await load.more(500);
      await client.flush({ until: 'stored' });
      await redis.kill('SIGKILL');
      await redis.restart();
      thaw(mariadb.pid);
      await advance();
      await load.stop();
      expect(rewinds).toBeGreaterThan(0);
      await expectExactlyOnce(load);
    });

    test('is away when the server is asked to stop: it ends with 0, and nothing is lost', async () => {
      const redis = keep(await startRedis({ args: ['--appendonly', 'yes'] }));
      const server = await startServer(redis);
      const client = await connectTo(server);
      const load = new RowLoad(client);
      load.start();
      await advance();
      await redis.kill('SIGKILL');
      await load.more(200);
      expect(await server.stop('SIGTERM')).toBe(0);
      await redis.restart();
      await server.start();
      await load.stop();
      await expectExactlyOnce(load);
    });

    test('may evict: the server starts, holds producers back with the reason, and goes on once that is set right', async () => {
      const redis = keep(await startRedis({ args: ['--maxmemory', '64mb', '--maxmemory-policy', 'allkeys-lru'] }));
      const server = await startServer(redis);
      const client = await connectTo(server);
      const load = new RowLoad(client);
      load.start();
      await load.more(200);
      expect(client.status().held).toMatch(/^queue_evicting: .*allkeys-lru.* set it to noeviction/);
      expect(await server.status()).toMatchObject({
        ready: false,
        queue: { admission: 'held', detail: expect.stringContaining('queue_evicting'), batches: 0 },
      });
      expect(await redis.command('CONFIG', 'SET', 'maxmemory-policy', 'noeviction')).toBe('+OK');
      await load.stop();
      expect(client.status().held).toBeUndefined();
      expect(await server.ready()).toBe(true);
      await expectExactlyOnce(load);
    });
  });

  test('the server is asked to stop under load: it ends with 0, clients see a reconnect and no error', async () => {
    const redis = keep(await startRedis());
    const server = await startServer(redis);
    const client = await connectTo(server);
    const reasons: string[] = [];
    client.on('disconnected', ({ reason }) => reasons.push(reason));
    const load = new RowLoad(client);
    load.start();
    for (let life = 0; life < 2; life++) {
      await advance();
      expect(await server.stop('SIGTERM')).toBe(0);
      await server.start();
    }
    await load.stop();
    expect(reasons.length).toBeGreaterThanOrEqual(2);
    await expectExactlyOnce(load);
  });
});
