import { afterAll, beforeAll, beforeEach, afterEach, describe, expect, test } from 'vitest';
import { connect, type Client } from '../../src/client/client.ts';
import { auditFaults, type AuditRow } from '../support/audit.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';
import { mariadbAvailable, startMariadb, type MariadbServer } from '../support/mariadb-server.ts';
import { redisAvailable, startRedis, type RedisServer } from '../support/redis-server.ts';
import { RowLoad } from '../support/row-load.ts';
import { ServerProcess } from '../support/server-process.ts';

const available = redisAvailable() && mariadbAvailable();

describe.skipIf(!available)('what the server needs goes away and comes back', () => {
  let mariadb: MariadbServer;
  /** Whatever a test started, ended in the opposite order. */
  const running: { close(): Promise<unknown> }[] = [];

  beforeAll(async () => {
    mariadb = await startMariadb();
  });
  beforeEach(async () => {
    await mariadb.query(TABLES);
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
    const server = keep(await ServerProcess.create({ SYNCLINE_QUEUE: redis.url, SYNCLINE_SINK: mariadb.url('shop') }));
    await server.start();
    return server;
  }

  async function connectTo(server: ServerProcess): Promise<Client> {
    const client = await connect({ url: server.url });
    keep({ close: () => client.close({ flush: false }) });
    return client;
  }

  async function numbers(sql: string): Promise<AuditRow[]> {
    const rows = await mariadb.query(sql);
    return rows.map((row) => Object.fromEntries(Object.entries(row).map(([name, value]) => [name, Number(value)])) as never);
  }

  const effects = async () => (await numbers('SELECT MAX(at) AS n FROM shop.audit'))[0]?.n ?? 0;

  /** Waits until rows take effect again. */
  async function advance(): Promise<void> {
    const before = await effects();
    await eventually(async () => expect(await effects()).toBeGreaterThan(before + 100));
  }

  async function expectExactlyOnce(load: RowLoad): Promise<void> {
    const audit = await numbers('SELECT gen, n, id FROM shop.audit ORDER BY at');
    const items = await numbers('SELECT gen, n, id FROM shop.item');
    const faults = auditFaults(load.history(), audit, items, load.keys);
    // All of a large number would hide the first.
    expect(faults.slice(0, 10), `${faults.length} faults`).toEqual([]);
    expect(load.written).toBeGreaterThan(100);
    expect(await mariadb.query('SELECT * FROM shop.syncline_dead_letter')).toEqual([]);
  }

  test('a database that is down at the start: changes are stored meanwhile, and applied once it is up', async () => {
    const redis = keep(await startRedis());
    await mariadb.kill('SIGKILL');
    const server = await startServer(redis);
    const client = await connectTo(server);
    const load = new RowLoad(client);
    load.start();
    await load.more(500);
    await client.flush({ until: 'stored' });
    const status = await server.status();
    console.log(JSON.stringify({...status, partitions: (status as any).partitions.slice(0,2)}, null, 1), server.output);
    await mariadb.restart();
    await load.stop();
    console.log(server.output);
    await expectExactlyOnce(load);
  });
});

const TABLES = [
  'DROP DATABASE IF EXISTS shop',
  'CREATE DATABASE shop',
  'CREATE TABLE shop.item (id BIGINT PRIMARY KEY, gen INT NOT NULL, n BIGINT NOT NULL) ENGINE=InnoDB',
  'CREATE TABLE shop.audit (at BIGINT AUTO_INCREMENT PRIMARY KEY, gen INT NOT NULL, n BIGINT NOT NULL, id BIGINT NOT NULL) ENGINE=InnoDB',
  'CREATE TRIGGER shop.item_inserted AFTER INSERT ON shop.item FOR EACH ROW INSERT INTO shop.audit (gen, n, id) VALUES (NEW.gen, NEW.n, NEW.id)',
  'CREATE TRIGGER shop.item_updated AFTER UPDATE ON shop.item FOR EACH ROW INSERT INTO shop.audit (gen, n, id) VALUES (NEW.gen, NEW.n, NEW.id)',
];
