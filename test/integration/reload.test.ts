import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { connect, type Client } from '../../src/client/client.ts';
import { hashToken } from '../../src/ingest/producers.ts';
import { auditFaults } from '../support/audit.ts';
import { countDatabaseEffects, createAuditedDatabase, readAuditedDatabase } from '../support/audited-database.ts';
import { createCertificate, type Certificate } from '../support/certificate.ts';
import { eventually } from '../support/eventually.ts';
import { mariadbAvailable, startMariadb, type MariadbServer } from '../support/mariadb-server.ts';
import { redisAvailable, startRedis, type RedisServer } from '../support/redis-server.ts';
import { RowLoad } from '../support/row-load.ts';
import { ServerProcess } from '../support/server-process.ts';

const running: { close(): Promise<unknown> }[] = [];
afterEach(async () => {
  for (const one of running.splice(0).toReversed()) await one.close();
});

function keep<T extends { close(): Promise<unknown> }>(one: T): T {
  running.push(one);
  return one;
}

async function connectAs(server: ServerProcess, token: string): Promise<Client> {
  const client = await connect({ url: server.url, token });
  keep({ close: () => client.close({ flush: false }) });
  return client;
}

/** Writes the file of a server; JSON is YAML. */
function configure(server: ServerProcess, options: object): void {
  writeFileSync(join(server.data, 'syncline.yaml'), JSON.stringify(options));
}

/** Sends SIGHUP and waits for the line of the log that says what came of it. */
async function reload(server: ServerProcess): Promise<string> {
  const before = server.output.length;
  server.signal('SIGHUP');
  return eventually(() => {
    const line = server.output
      .slice(before)
      .split('\n')
      .find((one) => one.includes('configuration loaded again') || one.includes('the configuration was not loaded again'));
    if (line === undefined) throw new Error(`nothing was said of a reload: ${server.output.slice(before)}`);
    return line;
  }, 30_000);
}

const opened = (server: ServerProcess, producer: string) =>
  server.output.split('\n').filter((line) => line.includes('stream opened') && line.includes(`"producer":"${producer}"`)).length;

describe('SIGHUP', () => {
  const both = {
    producers: [
      { name: 'shop', tokens: [hashToken('shop.one'), hashToken('shop.two')] },
      { name: 'erp', tokens: [hashToken('erp.one')] },
    ],
    log: { level: 'info' },
  };

  async function start(): Promise<ServerProcess> {
    const server = keep(await ServerProcess.create());
    configure(server, both);
    await server.start();
    return server;
  }

  test('ends sessions of a revoked token, and those of others notice nothing', async () => {
    const server = await start();
    const shop = await connectAs(server, 'shop.one');
    const erp = await connectAs(server, 'erp.one');
    const failures: string[] = [];
    erp.on('error', ({ code }) => failures.push(code));
    await erp.table('item', { key: ['id'] }).upsert({ id: 1 });
    const load = new RowLoad(shop);
    load.start();
    await load.more(50);
    configure(server, { ...both, producers: both.producers.slice(0, 1) });
    expect(await reload(server)).toContain('"changed":["producers"]');
    await eventually(() => expect(failures).toContain('auth_failed'));
    await load.more(50);
    await load.stop();
    expect(opened(server, 'shop')).toBe(1);
    expect((await server.status()).sessions.producers).toEqual({ shop: 1 });
  });

  test('applies what can change, and says what waits for a restart until the file says again what is in force', async () => {
    const server = await start();
    configure(server, { ...both, ingest: { creditBytes: '16 MiB' }, queue: { partitions: 8 }, node: 'other' });
    expect(await reload(server)).toContain('"changed":["ingest.creditBytes"]');
    expect((await server.status()).config).toEqual({ loadedAtMs: expect.any(Number), waiting: ['node', 'queue.partitions'] });
    expect(server.output).toContain('"options":["node","queue.partitions"]');
    configure(server, both);
    await reload(server);
    expect((await server.status()).config.waiting).toEqual([]);
  });

  test('with a configuration that is wrong changes nothing, and says so until there is a right one', async () => {
    const server = await start();
    configure(server, { producers: [], ingst: {} });
    expect(await reload(server)).toContain('ingst: unknown option');
    expect((await server.status()).config.failure).toContain('bad_config');
    expect((await server.status()).ready).toBe(true);
    // Otherwise nobody would be asked for a token.
    await connectAs(server, 'erp.one');
    configure(server, both);
    await reload(server);
    expect((await server.status()).config.failure).toBeUndefined();
  });

  test('changes what is logged', async () => {
    const server = await start();
    configure(server, { ...both, log: { level: 'error' } });
    server.signal('SIGHUP');
    await eventually(async () => expect((await server.status()).config.loadedAtMs).toBeGreaterThan(0));
    await eventually(async () => {
      const before = server.output.length;
      await (await connectAs(server, 'shop.one')).close();
      expect(server.output.slice(before)).not.toContain('stream opened');
    });
  });
});

describe.skipIf(!redisAvailable() || !mariadbAvailable())('with Redis and MariaDB under load', () => {
  let mariadb: MariadbServer;
  let redis: RedisServer;
  beforeAll(async () => {
    mariadb = await startMariadb();
  });
  beforeEach(async () => {
    await createAuditedDatabase(mariadb);
    redis = keep(await startRedis());
  });
  afterAll(() => mariadb?.close());

  const sinkUrl = (password: string) => `mysql://app:${password}@127.0.0.1:${mariadb.port}/shop`;
  const options = (password: string, threads = 1) => ({
    queue: { url: redis.url },
    sinks: [{ url: sinkUrl(password) }],
    apply: { threads, leaseMs: 1000 },
  });

  async function startLoad(password: string, more: object = {}): Promise<{ server: ServerProcess; load: RowLoad }> {
    await mariadb.query([`CREATE OR REPLACE USER app@'%' IDENTIFIED BY '${password}'`, `GRANT ALL ON shop.* TO app@'%'`]);
    const server = keep(await ServerProcess.create());
    configure(server, { ...options(password), ...more });
    await server.start();
    const client = await connect({ url: server.url });
    keep({ close: () => client.close({ flush: false }) });
    const load = new RowLoad(client);
    load.start();
    await load.more(100);
    return { server, load };
  }

  async function expectExactlyOnce(load: RowLoad): Promise<void> {
    await load.stop();
    const { audit, items, strayLetters } = await readAuditedDatabase(mariadb);
    const faults = auditFaults(load.history(), audit, items, load.keys);
    expect(faults.slice(0, 10), `${faults.length} faults`).toEqual([]);
    expect([load.written > 100, strayLetters]).toEqual([true, 0]);
  }

  test('threads are replaced again and again, and nothing is lost, done twice or out of order', async () => {
    const { server, load } = await startLoad('one');
    for (let round = 0; round < 6; round++) {
      configure(server, options('one', 1 + ((round + 1) % 3)));
      expect(await reload(server)).toContain('"changed":["apply.threads"]');
      const before = await countDatabaseEffects(mariadb);
      await eventually(async () => expect(await countDatabaseEffects(mariadb)).toBeGreaterThan(before + 50), 30_000);
    }
    expect(server.output).not.toContain('worker_failed');
    await expectExactlyOnce(load);
    expect(opened(server, 'default')).toBe(1);
  });

  test('the password of the database is changed without a gap', async () => {
    const { server, load } = await startLoad('one');
    await mariadb.query(`ALTER USER app@'%' IDENTIFIED BY 'two'`);
    configure(server, options('two'));
    expect(await reload(server)).toContain('"changed":["sinks[0].url"]');
    // Whoever still had the old one would not come back from this.
    const ids = await mariadb.query(`SELECT id FROM information_schema.processlist WHERE user='app'`);
    for (const { id } of ids) await mariadb.query(`KILL ${Number(id)}`).catch(() => {});
    await load.more(200);
    await expectExactlyOnce(load);
    expect((await server.status()).sinks[0]?.failure).toBeUndefined();
  });

  test('the password of Redis is changed without a gap', async () => {
    const { server, load } = await startLoad('one');
    const withUser = (password: string) => ({ ...options('one'), queue: { url: redis.url.replace('//', `//app:${password}@`) } });
    await redis.command('ACL', 'SETUSER', 'app', 'on', '>first', '~*', '&*', '+@all');
    configure(server, withUser('first'));
    expect(await reload(server)).toContain('"changed":["queue.url"]');
    await redis.command('ACL', 'SETUSER', 'app', 'resetpass', '>second');
    configure(server, withUser('second'));
    expect(await reload(server)).toContain('"changed":["queue.url"]');
    const users = async () => {
      const lines = (await redis.command('CLIENT', 'LIST')).split('\n').filter((line) => line.includes('name=syncline'));
      return lines.map((line) => /user=(\S+)/.exec(line)?.[1]);
    };
    // The main thread's connection is from before, and is made anew with what is right now.
    expect(await users()).toContain('default');
    await redis.command('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    await eventually(async () => expect(await users()).toEqual(['app', 'app']));
    await load.more(200);
    await expectExactlyOnce(load);
    expect((await server.status()).queue.admission).toBe('open');
  });

  test('a certificate that is not the right one leaves everything at work, and the right one is taken', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'syncline-reload-tls-'));
    running.push({ close: async () => rmSync(folder, { recursive: true, force: true }) });
    const [own, other] = ['own', 'other'].map((name) => createCertificate(folder, name)) as [Certificate, Certificate];
    redis = keep(await startRedis({ tls: own }));
    const ca = join(folder, 'ca.pem');
    copyFileSync(own.cert, ca);
    const { server, load } = await startLoad('one', { queue: { url: redis.url, tls: { ca } } });
    copyFileSync(other.cert, ca);
    expect(await reload(server)).toContain('roll_failed');
    expect((await server.status()).config.failure).toMatch(/certificate/);
    await load.more(100);
    writeFileSync(ca, readFileSync(own.cert, 'utf8') + readFileSync(other.cert, 'utf8'));
    expect(await reload(server)).toContain('"changed":["queue.tls.ca"]');
    await load.more(100);
    await expectExactlyOnce(load);
  });

  test.each<[string, () => object]>([
    ['a wrong password', () => options('wrong')],
    [
      'TLS that the database does not speak',
      () => ({ ...options('one'), sinks: [{ url: sinkUrl('one'), tls: { rejectUnauthorized: false } }] }),
    ],
  ])('new threads with %s leave the old ones at work', async (_, wrong) => {
    const { server, load } = await startLoad('one');
    configure(server, { ...wrong(), log: { level: 'debug' } });
    const line = await reload(server);
    expect(line).toContain('roll_failed');
    expect((await server.status()).config).toMatchObject({
      waiting: [],
      failure: expect.stringContaining('new worker threads cannot work'),
    });
    await load.more(200);
    await expectExactlyOnce(load);
  });
});
