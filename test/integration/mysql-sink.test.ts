import { once } from 'node:events';
import { connect, createServer, type AddressInfo } from 'node:net';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Row } from '../../src/core/change.ts';
import { systemClock } from '../../src/core/clock.ts';
import { encodeBatch } from '../../src/protocol/batch.ts';
import { openMysqlSink } from '../../src/sinks/mysql/mysql.ts';
import type { DeadLetter, Sink, SinkTransaction } from '../../src/sinks/sink.ts';
import { mariadbAvailable, startMariadb, type MariadbServer } from '../support/mariadb-server.ts';
import { advance, CLAIM, group, SETTINGS, shapeOf, sinkOn, STREAM, writeAll, writeSingly } from './mysql-harness.ts';

describe.skipIf(!mariadbAvailable())('the MySQL sink on MariaDB (skipped where mariadbd is not installed)', () => {
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
  const PERSON = 'CREATE TABLE person (id INT PRIMARY KEY, email VARCHAR(50) COLLATE utf8mb4_bin UNIQUE, name VARCHAR(50))';
  const names = (rows: Record<string, unknown>[]) => rows.map((row) => row['name']);

  describe('when the world is in the way', () => {
    test('a lock that is waited for in vain undoes the whole transaction, and is transient', async () => {
      const { sink, database } = await newSink([ITEM, "INSERT INTO item VALUES (1,'old',1),(2,'old',2)"]);
      const holder = await server.connect(database);
      await holder.query('START TRANSACTION');
      await holder.query('SELECT * FROM item WHERE id=2 FOR UPDATE');
      const transaction = await sink.begin(0, CLAIM);
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
      const one = await sink.begin(0, CLAIM);
      const two = await sink.begin(1, CLAIM);
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
      const transaction = await sink.begin(0, CLAIM);
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

    test.each(['before', 'after'] as const)(
      'a connection that dies %s COMMIT reaches the server leaves the outcome unknown, and the watermark tells it',
      async (moment) => {
        const { sink: direct, database } = await newSink([ITEM]);
        await using proxy = await startCutter(server.port);
        const sink = another(database, { url: server.url(database).replace(String(server.port), String(proxy.port)) });
        await sink.refreshSchema();
        const transaction = await sink.begin(0, CLAIM);
        await transaction.write([group(sink, 'item', 'insert', 1, ['id'], [[1]])]);
        proxy.cutAtCommit(moment);
        await expect(advance(transaction)).rejects.toMatchObject({ code: 'commit_unknown' });
        await transaction.rollback();
        const next = await direct.begin(0, CLAIM);
        expect(next.watermarks.get(STREAM)?.seq).toBe(moment === 'before' ? 0 : 1);
        await next.rollback();
        expect(await server.query('SELECT id FROM item', database)).toHaveLength(moment === 'before' ? 0 : 1);
      },
    );

    test('a statement without an answer is given up at its deadline', async () => {
      const { database } = await newSink([ITEM, "INSERT INTO item VALUES (1,'old',1)"]);
      const impatient = another(database, { statementTimeoutMs: 300 });
      await impatient.refreshSchema();
      const transaction = await impatient.begin(0, CLAIM);
      process.kill(server.pid, 'SIGSTOP');
      try {
        await expect(transaction.write([group(impatient, 'item', 'update', 1, ['id', 'name'], [[1, 'new']])])).rejects.toMatchObject({
          code: 'sink_unavailable',
        });
      } finally {
        process.kill(server.pid, 'SIGCONT');
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
      const transaction = await plain.begin(0, CLAIM);
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
      const transaction = await sink.begin(0, CLAIM);
      await transaction.write([group(sink, 'item', 'insert', 1, ['id'], [[6]])]);
      await server.kill('SIGKILL');
      await expect(advance(transaction)).rejects.toMatchObject({ kind: 'transient' });
      await transaction.rollback();
      await expect(sink.begin(0, CLAIM)).rejects.toMatchObject({ code: 'sink_unavailable' });
      await server.restart();
      expect((await sink.readStream(STREAM)).watermarks.get(0)?.seq).toBe(5);
      expect(await server.query('SELECT id FROM item', database)).toHaveLength(5);
      await writeAll(sink, [group(sink, 'item', 'insert', 1, ['id'], [[6]])]);
      expect((await sink.readStream(STREAM)).watermarks.get(0)?.seq).toBe(6);
    });

    test('a wrong password is told without the password', async () => {
      const { database } = await newSink([]);
      const sink = another(database, { url: server.url(database).replace('root@', 'nobody:hunter2@') });
      const error = await sink.begin(0, CLAIM).catch((reason: unknown) => reason);
      expect(error).toMatchObject({ code: 'sink_denied' });
      expect(JSON.stringify([(error as Error).message, (error as Error).stack, error])).not.toContain('hunter2');
    });
  });

  describe('writing', () => {
    test('small tables of two partitions do not wait for each other', async () => {
      const { sink } = await newSink([ITEM, "INSERT INTO item VALUES (1,'a',1),(2,'a',2),(3,'a',3),(4,'a',4),(5,'a',5),(6,'a',6)"]);
      const streams = ['00', '11', '22', '33'].map((byte) => ({ stream: byte.repeat(16), producer: 'p' }));
      const one = await sink.begin(0, streams);
      const two = await sink.begin(1, streams);
      const write = (transaction: SinkTransaction, ids: number[]) =>
        transaction.write([
          group(
            sink,
            'item',
            'update',
            1,
            ['id', 'name'],
            ids.map((id) => [id, 'b']),
          ),
          group(
            sink,
            'item',
            'upsert',
            1,
            ['id', 'amount'],
            ids.map((id) => [id, 9]),
          ),
        ]);
      await write(one, [1, 3, 5]);
      await write(two, [2, 4, 6]);
      await two.commit(new Map(streams.map(({ stream }) => [stream, { seq: 1, crc: 1 }])), []);
      await one.commit(new Map(streams.map(({ stream }) => [stream, { seq: 1, crc: 1 }])), []);
    });

    test('one bad row among many is found change by change', async () => {
      const { sink, database } = await newSink(['CREATE TABLE checked (id INT PRIMARY KEY, v INT, CHECK (v < 100))']);
      const rows: Row[] = Array.from({ length: 300 }, (_, i) => [i, i === 200 ? 500 : i % 100]);
      const groups = [group(sink, 'checked', 'insert', 1, ['id', 'v'], rows)];
      await expect(writeAll(sink, groups)).rejects.toMatchObject({ code: 'check_failed', kind: 'permanent' });
      const faults = await writeSingly(sink, groups);
      expect(faults.map((fault) => fault?.code).filter((code) => code !== undefined)).toEqual(['check_failed']);
      expect(faults[200]?.message).toContain('checked');
      expect((await server.query('SELECT COUNT(*) AS n FROM checked', database))[0]?.['n']).toBe('299');
    });

    test('foreign keys and second unique indexes fail as blocked, each with its name', async () => {
      const { sink } = await newSink([
        PERSON,
        'CREATE TABLE pet (id INT PRIMARY KEY, owner INT NOT NULL, CONSTRAINT pet_owner FOREIGN KEY (owner) REFERENCES person (id))',
      ]);
      const faults = await writeSingly(sink, [
        group(
          sink,
          'person',
          'insert',
          1,
          ['id', 'email'],
          [
            [1, 'a@x'],
            [2, 'a@x'],
            [1, 'b@x'],
          ],
        ),
        group(
          sink,
          'pet',
          'insert',
          1,
          ['id', 'owner'],
          [
            [1, 7],
            [2, 1],
          ],
        ),
        group(sink, 'person', 'delete', 1, ['id'], [[1]]),
        group(
          sink,
          'person',
          'upsert',
          1,
          ['id', 'email'],
          [
            [3, 'a@x'],
            [3, 'c@x'],
          ],
        ),
        group(
          sink,
          'person',
          'update',
          1,
          ['id', 'email'],
          [
            [3, 'a@x'],
            [9, 'z@x'],
          ],
        ),
      ]);
      expect(faults.map((fault) => fault?.code)).toEqual([
        undefined,
        'duplicate_unique',
        'duplicate_key',
        'foreign_key',
        undefined,
        'foreign_key',
        'duplicate_unique',
        undefined,
        'duplicate_unique',
        'row_missing',
      ]);
      expect(faults[1]?.message).toContain('unique index email');
      expect(faults[3]?.message).toContain('pet_owner');
      // What the server quotes from the row stays out of it.
      expect(faults.map((fault) => fault?.message).join()).not.toContain('a@x');
    });

    test('triggers see every row in its order, and refuse with check_failed', async () => {
      const { sink, database } = await newSink([
        ITEM,
        'CREATE TABLE log (n INT AUTO_INCREMENT PRIMARY KEY, entry VARCHAR(100))',
        "CREATE TRIGGER item_insert AFTER INSERT ON item FOR EACH ROW INSERT INTO log (entry) VALUES (CONCAT('insert ', NEW.id))",
        "CREATE TRIGGER item_update AFTER UPDATE ON item FOR EACH ROW INSERT INTO log (entry) VALUES (CONCAT('update ', NEW.id))",
        "CREATE TRIGGER item_guard BEFORE INSERT ON item FOR EACH ROW IF NEW.amount < 0 THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT='secret reason'; END IF",
      ]);
      await writeAll(sink, [
        group(
          sink,
          'item',
          'upsert',
          1,
          ['id', 'name'],
          [
            [2, 'a'],
            [1, 'b'],
            [2, 'c'],
          ],
        ),
      ]);
      expect((await server.query('SELECT entry FROM log ORDER BY n', database)).map((row) => row['entry'])).toEqual([
        'insert 2',
        'insert 1',
        'update 2',
      ]);
      const [fault] = await writeSingly(sink, [group(sink, 'item', 'insert', 1, ['id', 'amount'], [[5, -1]])]);
      expect(fault?.code).toBe('check_failed');
      expect(fault?.message).not.toContain('secret');
    });

    test('groups of any kind on a table with several unique keys do what a plain model does, row after row', async () => {
      const { sink, database } = await newSink([PERSON]);
      const id = fc.integer({ min: 1, max: 5 });
      const email = fc.constantFrom('a', 'b', 'c', null);
      const step = fc.oneof(
        fc.record({
          op: fc.constant('upsert' as const),
          rows: fc.array(fc.tuple(id, email, fc.constantFrom('x', 'y')), { minLength: 1, maxLength: 12 }),
        }),
        fc.record({
          op: fc.constant('insert' as const),
          rows: fc.array(fc.tuple(id, email, fc.constantFrom('x', 'y')), { minLength: 1, maxLength: 3 }),
        }),
        fc.record({
          op: fc.constant('update' as const),
          rows: fc.array(fc.tuple(id, email, fc.constantFrom('x', 'y')), { minLength: 1, maxLength: 6 }),
        }),
        fc.record({
          op: fc.constant('delete' as const),
          rows: fc.array(fc.tuple(id, email, fc.constantFrom('x')), { minLength: 1, maxLength: 4 }),
        }),
      );
      const columns = ['id', 'email', 'name'];
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 5 }), fc.boolean(), async (steps, together) => {
          await server.query('DELETE FROM person', database);
          let model = new Map<number, { email: string | null; name: string }>();
          for (const { op, rows } of steps) {
            const shaped = group(
              sink,
              'person',
              op,
              1,
              op === 'delete' ? ['id'] : columns,
              op === 'delete' ? rows.map(([key]) => [key]) : rows,
            );
            const { after, faults } = applyToPeople(model, op, rows);
            if (!together) {
              const found = await writeSingly(sink, [shaped]);
              expect(found.map((fault) => fault?.code)).toEqual(faults);
              model = after;
              continue;
            }
            const outcome = await writeAll(sink, [shaped]).then(
              () => 'written',
              (error: { kind: string }) => error.kind,
            );
            // A group may fail where row after row would not; then nothing of it is there, and it goes row by row.
            if (outcome === 'written') {
              expect(faults.every((fault) => fault === undefined)).toBe(true);
              model = after;
            } else {
              expect(['permanent', 'blocked']).toContain(outcome);
              expect(faults.some((fault) => fault !== undefined)).toBe(true);
            }
          }
          const stored = await server.query('SELECT id, email, name FROM person ORDER BY id', database);
          const expected = [...model].sort(([a], [b]) => a - b).map(([key, row]) => ({ id: key, ...row }));
          expect(stored).toEqual(expected);
        }),
        { numRuns: 150 },
      );
    });

    test('many rows of a table with several unique keys, some there and some not', async () => {
      const { sink, database } = await newSink([PERSON]);
      const rows = (from: number, count: number, name: string): Row[] =>
        Array.from({ length: count }, (_, i) => [from + i, `${from + i}@x`, name]);
      const columns = ['id', 'email', 'name'];
      await writeAll(sink, [group(sink, 'person', 'upsert', 1, columns, rows(0, 1500, 'first'))]);
      await writeAll(sink, [group(sink, 'person', 'upsert', 1, columns, rows(1000, 1500, 'second'))]);
      await writeAll(sink, [
        group(
          sink,
          'person',
          'update',
          1,
          ['id', 'name'],
          rows(0, 300, 'third').map(([id, , name]) => [id ?? 0, name ?? '']),
        ),
      ]);
      const counts = await server.query('SELECT name, COUNT(*) AS n FROM person GROUP BY name ORDER BY name', database);
      expect(counts).toEqual([
        { name: 'first', n: '700' },
        { name: 'second', n: '1500' },
        { name: 'third', n: '300' },
      ]);
    });

    test('an update of many rows of which one is missing writes none', async () => {
      const { sink, database } = await newSink([
        'CREATE TABLE strict_row (id INT PRIMARY KEY, must INT NOT NULL, v INT)',
        ...Array.from({ length: 100 }, (_, i) => `INSERT INTO strict_row VALUES (${i},1,0)`),
      ]);
      const rows = Array.from({ length: 101 }, (_, i) => [i, 5]);
      await expect(writeAll(sink, [group(sink, 'strict_row', 'update', 1, ['id', 'v'], rows)])).rejects.toMatchObject({
        code: 'row_missing',
      });
      await writeAll(sink, [group(sink, 'strict_row', 'update', 1, ['id', 'v'], rows.slice(0, 100))]);
      await writeAll(sink, [group(sink, 'strict_row', 'update', 1, ['id', 'v'], rows.slice(0, 100))]);
      expect((await server.query('SELECT SUM(v) AS s FROM strict_row', database))[0]?.['s']).toBe('500');
    });

    test('names and values that look like SQL are only names and values', async () => {
      const evil = 'x` (y); DROP TABLE item; -- \'"\\';
      const { sink, database } = await newSink([
        ITEM,
        `CREATE TABLE \`${evil.replaceAll('`', '``')}\` (\`a.b\` INT PRIMARY KEY, \`c\`\`d'\` VARCHAR(100))`,
      ]);
      const values = [
        "'; DROP TABLE item; --",
        "\\'; DROP TABLE item; --",
        "' OR 1=1 -- ",
        '\\',
        "''",
        '\0',
        '/*!50000 DROP TABLE item */',
        '\u00bf\u0027',
        '%s ? :name',
      ];
      await writeAll(sink, [
        group(
          sink,
          evil,
          'upsert',
          1,
          ['a.b', "c`d'"],
          values.map((value, i) => [i, value]),
        ),
      ]);
      await writeAll(sink, [
        group(
          sink,
          evil,
          'update',
          1,
          ['a.b', "c`d'"],
          values.map((value, i) => [i, value]),
        ),
      ]);
      const stored = await server.query(`SELECT * FROM \`${evil.replaceAll('`', '``')}\` ORDER BY \`a.b\``, database);
      expect(stored.map((row) => row["c`d'"])).toEqual(values);
      expect(await server.query('SELECT * FROM item', database)).toEqual([]);
      for (const name of ['item` --', "item' OR '1'='1", `${database}.item`, 'ITEM', 'item ', 'item\0', '\ud800', 'x'.repeat(5000)]) {
        await sink.refreshSchema([name]);
        expect(sink.table(name)).toBeUndefined();
      }
      expect(sink.table('item')?.shape('upsert', 1, ['id', 'name` = 1 --'])).toMatchObject({ code: 'unknown_column' });
    });

    test('a row larger than max_allowed_packet is refused before the server would cut the connection', async () => {
      const { sink, database } = await newSink(['CREATE TABLE file (id INT PRIMARY KEY, data LONGBLOB)']);
      const huge = Buffer.alloc(3_000_000, 1);
      const [large, small] = [Buffer.alloc(1_500_000, 2), Buffer.alloc(10, 3)];
      const groups = [
        group(
          sink,
          'file',
          'upsert',
          1,
          ['id', 'data'],
          [
            [1, small],
            [2, huge],
            [3, large],
            [4, large],
            [5, small],
          ],
        ),
      ];
      await expect(writeAll(sink, groups)).rejects.toMatchObject({ code: 'row_too_large', kind: 'permanent' });
      expect((await writeSingly(sink, groups)).map((fault) => fault?.code)).toEqual([
        undefined,
        'row_too_large',
        undefined,
        undefined,
        undefined,
      ]);
      const sizes = await server.query('SELECT id, LENGTH(data) AS size FROM file ORDER BY id', database);
      expect(sizes.map((row) => [row['id'], row['size']])).toEqual([
        [1, 10],
        [3, 1_500_000],
        [4, 1_500_000],
        [5, 10],
      ]);
      // A dead letter that holds such a row is stored without its payload rather than never.
      const transaction = await sink.begin(0, CLAIM);
      await transaction.commit(new Map([[STREAM, { seq: 99, crc: 1 }]]), [
        letter({ payload: huge, seq: 98 }),
        letter({ seq: 98, index: 1 }),
      ]);
      const [second, first] = await sink.deadLetters.list({ limit: 10 });
      expect([first?.payload.length, second?.payload.length]).toEqual([0, 3]);
      expect(first?.message).toContain('3000000 bytes');
    });

    test('a column that was added is seen after the schema was read again', async () => {
      const { sink, database } = await newSink([ITEM]);
      const stale = shapeOf(sink, 'item', 'insert', 1, ['id', 'amount']);
      await server.query(['ALTER TABLE item ADD COLUMN extra INT', 'ALTER TABLE item DROP COLUMN amount'], database);
      await expect(writeAll(sink, [{ shape: stale, rows: [[1, 1]] }])).rejects.toMatchObject({ code: 'unknown_column' });
      await sink.refreshSchema(['item']);
      await writeAll(sink, [group(sink, 'item', 'insert', 1, ['id', 'extra'], [[1, 1]])]);
      await server.query('DROP TABLE item', database);
      await expect(writeAll(sink, [group(sink, 'item', 'insert', 1, ['id'], [[2]])])).rejects.toMatchObject({ code: 'unknown_table' });
    });

    test('a key finds the row that the collation takes for the same', async () => {
      const { sink, database } = await newSink([
        'CREATE TABLE loose (a VARCHAR(9) COLLATE utf8mb4_general_ci, b INT, must INT NOT NULL, v INT, PRIMARY KEY (a, b))',
        "INSERT INTO loose VALUES ('SKU-1', 1, 1, 0), ('SKU-2', 1, 1, 0), ('SKU-3', 1, 1, 0)",
      ]);
      const key = ['a', 'b'];
      await writeAll(sink, [
        group(
          sink,
          'loose',
          'update',
          2,
          [...key, 'v'],
          [
            ['sku-1', 1, 5],
            ['sku-2', 1, 6],
          ],
        ),
        group(sink, 'loose', 'upsert', 2, [...key, 'must', 'v'], [['sku-2', 1, 1, 7]]),
        group(sink, 'loose', 'delete', 2, key, [
          ['sku-1', 1],
          ['sku-9', 1],
        ]),
      ]);
      expect(await writeSingly(sink, [group(sink, 'loose', 'update', 2, [...key, 'v'], [['sku-3', 1, 8]])])).toEqual([undefined]);
      expect(await server.query('SELECT a, v FROM loose ORDER BY a', database)).toEqual([
        { a: 'SKU-2', v: 7 },
        { a: 'SKU-3', v: 8 },
      ]);
    });

    test('keys that a collation would take for one are refused', async () => {
      const { sink } = await newSink([
        'CREATE TABLE loose (id VARCHAR(50) COLLATE utf8mb4_general_ci PRIMARY KEY)',
        'CREATE TABLE tight (id VARCHAR(50) COLLATE utf8mb4_bin PRIMARY KEY)',
        'CREATE TABLE nopad (id VARCHAR(50) COLLATE utf8mb4_nopad_bin PRIMARY KEY)',
        'CREATE TABLE local (id VARCHAR(50) COLLATE utf8mb4_czech_ci PRIMARY KEY)',
        'CREATE TABLE fixed (id BINARY(4) PRIMARY KEY)',
        'CREATE TABLE moment (at DATETIME(3), n DECIMAL(5,2), PRIMARY KEY (at, n))',
        'CREATE TABLE real_key (id DOUBLE PRIMARY KEY)',
      ]);
      const check = (table: string, columns: string[], ...row: Row) =>
        shapeOf(sink, table, 'upsert', columns.length, columns).check(row)?.code;
      expect([
        check('loose', ['id'], 'a-1_b'),
        check('loose', ['id'], 'A'),
        check('loose', ['id'], 'á'),
        check('loose', ['id'], 'a '),
      ]).toEqual([undefined, 'key_not_canonical', 'key_not_canonical', 'key_not_canonical']);
      expect([check('tight', ['id'], 'Á 1'), check('tight', ['id'], 'a '), check('nopad', ['id'], 'a ')]).toEqual([
        undefined,
        'key_not_canonical',
        undefined,
      ]);
      expect([check('local', ['id'], 'a'), check('fixed', ['id'], Buffer.alloc(4)), check('fixed', ['id'], Buffer.alloc(3))]).toEqual([
        'key_not_canonical',
        undefined,
        'key_not_canonical',
      ]);
      const moment = (at: string, n: string) => check('moment', ['at', 'n'], at, n);
      expect([
        moment('2026-01-01 00:00:00.000', '1.50'),
        moment('2026-01-01 00:00:00', '1.50'),
        moment('2026-01-01T00:00:00.000', '1.50'),
        moment('2026-01-01 00:00:00.000', '1.5'),
      ]).toEqual([undefined, 'key_not_canonical', 'key_not_canonical', 'key_not_canonical']);
      expect(check('real_key', ['id'], 1)).toBe('key_not_canonical');
    });
  });

  describe('dead letters', () => {
    test('are retried in one transaction after the table was corrected', async () => {
      const { sink, database } = await newSink([ITEM]);
      const batch = { groups: [{ table: 'item', op: 'upsert' as const, keyCount: 1, columns: ['id', 'later'], rows: [[1, 'x']] }] };
      const transaction = await sink.begin(0, CLAIM);
      await transaction.commit(new Map([[STREAM, { seq: 1, crc: 1 }]]), [
        letter({ table: 'item', code: 'unknown_column', payload: encodeBatch(batch) }),
      ]);
      const [stored] = await sink.deadLetters.list({ limit: 1 });
      expect(await sink.deadLetters.retry(stored?.id ?? 0)).toMatchObject({ code: 'unknown_column' });
      await server.query('ALTER TABLE item ADD COLUMN later VARCHAR(10)', database);
      expect(await sink.deadLetters.retry(stored?.id ?? 0)).toBeUndefined();
      expect((await sink.deadLetters.get(stored?.id ?? 0))?.state).toBe('retried');
      expect(await sink.deadLetters.retry(stored?.id ?? 0)).toMatchObject({ code: 'value_refused' });
      expect(await server.query('SELECT later FROM item', database)).toEqual([{ later: 'x' }]);
    });

    test('take any text and keep what was said of them', async () => {
      const { sink } = await newSink([]);
      const nasty = letter({
        table: `'; -- ${'x'.repeat(500)}`,
        key: `["'\\\\\ud800"]`,
        message: "it's `bad`\n",
        payload: Buffer.from([0, 39, 92, 255]),
      });
      const transaction = await sink.begin(3, CLAIM);
      await transaction.commit(new Map([[STREAM, { seq: 7, crc: 1 }]]), [{ ...nasty, partition: 3 }]);
      const [stored] = await sink.deadLetters.list({ limit: 1 });
      expect(stored).toMatchObject({
        message: nasty.message,
        key: `["'\\\\\ufffd"]`,
        op: 'upsert',
        index: 0,
        producer: 'p',
        storedAtUs: nasty.storedAtUs,
        state: 'open',
      });
      expect(Buffer.from(stored?.payload ?? [])).toEqual(nasty.payload);
      expect(stored?.table.startsWith("'; --")).toBe(true);
      expect(Math.abs((stored?.createdAtMs ?? 0) - Date.now())).toBeLessThan(60_000);
    });
  });
});

/** A proxy in front of the server that cuts a connection at its COMMIT: before it passes it on, or before it passes the answer back. */
async function startCutter(serverPort: number) {
  let moment: 'before' | 'after' | undefined;
  const proxy = createServer((client) => {
    const upstream = connect(serverPort, '127.0.0.1');
    let mute = false;
    client.on('data', (chunk) => {
      const commit = moment !== undefined && chunk.includes('COMMIT');
      if (commit && moment === 'before') return void client.destroy();
      mute = commit;
      upstream.write(chunk);
    });
    upstream.on('data', (chunk) => void (mute ? client.destroy() : client.write(chunk)));
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const)
      one.on('error', () => {}).on('close', () => other.destroy());
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  return {
    port: (proxy.address() as AddressInfo).port,
    cutAtCommit(at: 'before' | 'after') {
      moment = at;
    },
    [Symbol.asyncDispose]: async () => void proxy.close(),
  };
}

function letter(fields: Partial<DeadLetter>): DeadLetter {
  return {
    stream: STREAM,
    partition: 0,
    seq: 1,
    index: 0,
    producer: 'p',
    table: 'item',
    op: 'upsert',
    key: '[1]',
    code: 'value_refused',
    message: 'why',
    payload: Buffer.from([1, 2, 3]),
    storedAtUs: 1_764_000_000_123_456,
    ...fields,
  };
}

type People = Map<number, { email: string | null; name: string }>;

/** What rows do to a table whose rows have an id and a unique email, one after the other. */
function applyToPeople(
  model: People,
  op: 'upsert' | 'insert' | 'update' | 'delete',
  rows: readonly (readonly [number, string | null, string])[],
) {
  const after: People = new Map(model);
  const faults = rows.map(([id, email, name]) => {
    if (op === 'delete') return void after.delete(id);
    if (op === 'insert' && after.has(id)) return 'duplicate_key';
    if (op === 'update' && !after.has(id)) return 'row_missing';
    const taken = email !== null && [...after].some(([other, row]) => other !== id && row.email === email);
    if (taken) return 'duplicate_unique';
    after.set(id, { email, name });
    return undefined;
  });
  return { after, faults };
}
