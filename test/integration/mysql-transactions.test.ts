import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import type { Dial } from '../../src/sinks/mysql/connection.ts';
import { dialMysql } from '../../src/sinks/mysql/driver.ts';
import { openMysqlSink } from '../../src/sinks/mysql/mysql.ts';
import type { Sink } from '../../src/sinks/sink.ts';
import { FaultProxy } from '../../src/chaos/fault-proxy.ts';
import { freeze, thaw } from '../support/freeze.ts';
import { mariadbAvailable, startMariadb, type MariadbServer } from '../support/mariadb-server.ts';
import { advance, CLAIM, group, SETTINGS, shapeOf, sinkOn, STREAM, writeAll } from './mysql-harness.ts';
import { beginIn } from '../support/one-partition.ts';

describe.skipIf(!mariadbAvailable())('transactions on MariaDB (skipped where mariadbd is not installed)', () => {
  let server: MariadbServer;
  let databases = 0;
  const sinks: Sink[] = [];
  const newSink = async (tables: readonly string[], options = {}) => {
    const database = `d${++databases}`;
    const sink = await sinkOn(server, database, tables, options);
    sinks.push(sink);
    return { sink, database };
  };
  const another = (database: string, options = {}) => {
    const sink = openMysqlSink({ name: 'main', url: server.url(database), schema: 'strict', clock: systemClock, ...options });
    sinks.push(sink);
    return sink;
  };
  /** Ids of the server's connections to `database` that are not the caller's. */
  const connectionsTo = async (database: string) =>
    (await server.query(`SELECT id FROM information_schema.PROCESSLIST WHERE db='${database}' AND id<>CONNECTION_ID()`)).map((row) =>
      Number(row['id']),
    );

  beforeAll(async () => {
    server = await startMariadb({ args: ['--max-allowed-packet=4M', '--lock-wait-timeout=5'] });
  });
  afterAll(async () => {
    for (const sink of sinks) await sink.close();
    await server.close();
  });

  const ITEM = 'CREATE TABLE item (id INT PRIMARY KEY, name VARCHAR(50), amount INT)';

  const names = (rows: Record<string, unknown>[]) => rows.map((row) => row['name']);

  test('a lock that is waited for in vain undoes the whole transaction, and is transient', async () => {
    const { sink, database } = await newSink([ITEM, "INSERT INTO item VALUES (1,'old',1),(2,'old',2)"]);
    const holder = await server.connect(database);
    await holder.query('START TRANSACTION');
    await holder.query('SELECT * FROM item WHERE id=2 FOR UPDATE');
    const transaction = await beginIn(sink, 0, CLAIM);
    await expect(
      transaction.write([
        group(sink, 'item', 'upsert', 1, ['id', 'name'], [[1, 'new']]),
        group(sink, 'item', 'upsert', 1, ['id', 'name'], [[2, 'new']]),
      ]),
    ).rejects.toMatchObject({ code: 'sink_busy' });
    await transaction.rollback();
    await holder.end();
    expect(names(await server.query('SELECT name FROM item', database))).toEqual(['old', 'old']);
    expect((await sink.readStream(STREAM)).watermarks.get(0)?.seq).toBe(0);
    await writeAll(sink, [
      group(
        sink,
        'item',
        'upsert',
        1,
        ['id', 'name'],
        [
          [1, 'new'],
          [2, 'new'],
        ],
      ),
    ]);
    expect(names(await server.query('SELECT name FROM item', database))).toEqual(['new', 'new']);
  });

  test('of two that deadlock one fails as busy, and the other commits', async () => {
    const { sink, database } = await newSink([ITEM, "INSERT INTO item VALUES (1,'old',1),(2,'old',2)"]);
    const one = await beginIn(sink, 0, CLAIM);
    const two = await beginIn(sink, 1, CLAIM);
    const set = (id: number, name: string) => [group(sink, 'item', 'update', 1, ['id', 'name'], [[id, name]])];
    await one.write(set(1, 'one'));
    await two.write(set(2, 'two'));
    const outcomes = await Promise.allSettled([one.write(set(2, 'one')), two.write(set(1, 'two'))]);
    const failed = outcomes.filter((outcome) => outcome.status === 'rejected');
    expect(failed).toHaveLength(1);
    expect(failed[0]?.reason).toMatchObject({ code: 'sink_busy' });
    const winner = outcomes[0]?.status === 'fulfilled' ? one : two;
    await (winner === one ? two : one).rollback();
    await advance(winner);
    const [first, second] = names(await server.query('SELECT name FROM item ORDER BY id', database));
    expect(first).toBe(second);
  });

  test('a transaction whose connection was killed fails as unavailable, and leaves nothing', async () => {
    const { sink, database } = await newSink([ITEM]);
    const transaction = await beginIn(sink, 0, CLAIM);
    await transaction.write([group(sink, 'item', 'insert', 1, ['id', 'name'], [[1, 'x']])]);
    for (const id of await connectionsTo(database)) await server.query(`KILL ${id}`);
    await expect(transaction.write([group(sink, 'item', 'insert', 1, ['id', 'name'], [[2, 'x']])])).rejects.toMatchObject({
      code: 'sink_unavailable',
    });
    await transaction.rollback();
    await writeAll(sink, [group(sink, 'item', 'insert', 1, ['id', 'name'], [[1, 'again']])]);
    expect(names(await server.query('SELECT name FROM item', database))).toEqual(['again']);
  });

  test('idle connections that the server closed are replaced without a failure', async () => {
    const { sink, database } = await newSink([ITEM]);
    await writeAll(sink, [group(sink, 'item', 'insert', 1, ['id'], [[1]])]);
    for (const id of await connectionsTo(database)) await server.query(`KILL ${id}`);
    await writeAll(sink, [group(sink, 'item', 'insert', 1, ['id'], [[2]])]);
    for (const id of await connectionsTo(database)) await server.query(`KILL ${id}`);
    expect((await sink.readStream(STREAM)).watermarks.get(0)?.seq).toBe(2);
  });

  test('idle connections are kept alive, and dead ones let go', async () => {
    let lateMs = 0;
    const clock = { ...systemClock, monotonicMs: () => systemClock.monotonicMs() + lateMs };
    const { sink, database } = await newSink([ITEM], { clock });
    await writeAll(sink, [group(sink, 'item', 'insert', 1, ['id'], [[1]])]);
    const before = await connectionsTo(database);
    lateMs = 60_000;
    await sink.keepAlive();
    await writeAll(sink, [group(sink, 'item', 'insert', 1, ['id'], [[2]])]);
    expect(await connectionsTo(database)).toEqual(before);
    for (const id of before) await server.query(`KILL ${id}`);
    lateMs = 120_000;
    await sink.keepAlive();
    expect(await connectionsTo(database)).toEqual([]);
  });

  test('many that ask at once share a few connections', async () => {
    const { database } = await newSink([ITEM]);
    let [open, most] = [0, 0];
    const sink = another(database, {
      dial: async (...where: Parameters<Dial>) => {
        most = Math.max(most, ++open);
        const driver = await dialMysql(...where);
        driver.onLost(() => open--);
        return driver;
      },
    });
    const states = await Promise.all(Array.from({ length: 500 }, () => sink.readStream(STREAM)));
    expect(states.map(({ status }) => status)).toEqual(Array.from({ length: 500 }, () => 'unknown'));
    expect(most).toBeLessThanOrEqual(8);
  });

  test.each(['before', 'after'] as const)(
    'a connection that dies %s COMMIT reaches the server leaves the outcome unknown, and the watermark tells it',
    async (moment) => {
      const { sink: direct, database } = await newSink([ITEM]);
      await using proxy = await FaultProxy.start(server.port);
      const sink = another(database, { url: server.url(database).replace(String(server.port), String(proxy.port)) });
      await sink.refreshSchema();
      const transaction = await beginIn(sink, 0, CLAIM);
      await transaction.write([group(sink, 'item', 'insert', 1, ['id'], [[1]])]);
      const cut = proxy.cut('up', moment === 'before' ? { before: 'COMMIT' } : { answerTo: 'COMMIT' });
      await expect(advance(transaction)).rejects.toMatchObject({ code: 'commit_unknown' });
      await cut;
      await transaction.rollback();
      const next = await beginIn(direct, 0, CLAIM);
      expect(next.watermarks.get(STREAM)?.seq).toBe(moment === 'before' ? 0 : 1);
      await next.rollback();
      expect(await server.query('SELECT id FROM item', database)).toHaveLength(moment === 'before' ? 0 : 1);
    },
  );

  test('a statement without an answer is given up at its deadline', async () => {
    const { database } = await newSink([ITEM, "INSERT INTO item VALUES (1,'old',1)"]);
    const impatient = another(database, { statementTimeoutMs: 300 });
    await impatient.refreshSchema();
    const transaction = await beginIn(impatient, 0, CLAIM);
    await freeze(server.pid);
    try {
      await expect(transaction.write([group(impatient, 'item', 'update', 1, ['id', 'name'], [[1, 'new']])])).rejects.toMatchObject({
        code: 'sink_unavailable',
      });
    } finally {
      thaw(server.pid);
    }
    await transaction.rollback();
    expect(names(await server.query('SELECT name FROM item', database))).toEqual(['old']);
  });

  test('a database that turns read-only is transient, and only a warning at the start', async () => {
    const { sink, database } = await newSink([ITEM]);
    await server.query([
      "CREATE USER IF NOT EXISTS plain@'%' IDENTIFIED BY 'secret word'",
      `GRANT SELECT, INSERT, UPDATE, DELETE ON ${database}.* TO plain@'%'`,
    ]);
    const plain = another(database, { url: server.url(database).replace('root@', 'plain:secret%20word@') });
    expect(await plain.prepare(SETTINGS)).toEqual(expect.not.arrayContaining([expect.stringContaining('read-only')]));
    await plain.refreshSchema();
    const transaction = await beginIn(plain, 0, CLAIM);
    await server.query('SET GLOBAL read_only=1');
    try {
      expect(await plain.prepare(SETTINGS)).toEqual(expect.arrayContaining([expect.stringContaining('read-only')]));
      await expect(
        transaction.write(
          [group(sink, 'item', 'insert', 1, ['id'], [[1]])].map(({ rows }) => ({
            rows,
            shape: shapeOf(plain, 'item', 'insert', 1, ['id']),
          })),
        ),
      ).rejects.toMatchObject({ code: 'sink_readonly' });
      await transaction.rollback();
    } finally {
      await server.query('SET GLOBAL read_only=0');
    }
    await writeAll(plain, [group(plain, 'item', 'insert', 1, ['id'], [[1]])]);
  });

  test('a server that was killed and came back holds exactly what was committed', async () => {
    const { sink, database } = await newSink([ITEM]);
    for (let id = 1; id <= 5; id++) await writeAll(sink, [group(sink, 'item', 'insert', 1, ['id'], [[id]])]);
    const transaction = await beginIn(sink, 0, CLAIM);
    await transaction.write([group(sink, 'item', 'insert', 1, ['id'], [[6]])]);
    await server.kill('SIGKILL');
    await expect(advance(transaction)).rejects.toMatchObject({ kind: 'transient' });
    await transaction.rollback();
    await expect(beginIn(sink, 0, CLAIM)).rejects.toMatchObject({ code: 'sink_unavailable' });
    await server.restart();
    expect((await sink.readStream(STREAM)).watermarks.get(0)?.seq).toBe(5);
    expect(await server.query('SELECT id FROM item', database)).toHaveLength(5);
    await writeAll(sink, [group(sink, 'item', 'insert', 1, ['id'], [[6]])]);
    expect((await sink.readStream(STREAM)).watermarks.get(0)?.seq).toBe(6);
  });

  test('a wrong password is told without the password', async () => {
    const { database } = await newSink([]);
    const sink = another(database, { url: server.url(database).replace('root@', 'nobody:hunter2@') });
    const error = await beginIn(sink, 0, CLAIM).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'sink_denied' });
    expect(JSON.stringify([(error as Error).message, (error as Error).stack, error])).not.toContain('hunter2');
  });
});
