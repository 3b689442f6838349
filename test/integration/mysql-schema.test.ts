import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Timestamp, type Batch, type Op, type Row } from '../../src/core/change.ts';
import { systemClock } from '../../src/core/clock.ts';
import { BOOKKEEPING } from '../../src/sinks/mysql/bookkeeping.ts';
import { openMysqlSink, type MysqlOptions } from '../../src/sinks/mysql/mysql.ts';
import type { Sink } from '../../src/sinks/sink.ts';
import { eventually } from '../support/eventually.ts';
import { mariadbAvailable, startMariadb, type MariadbServer } from '../support/mariadb-server.ts';
import { CLAIM, group, SETTINGS, shapeOf, sinkOn, STREAM, writeAll } from './mysql-harness.ts';
import { beginIn } from '../support/one-partition.ts';

describe.skipIf(!mariadbAvailable())('schema and set-up on MariaDB (skipped where mariadbd is not installed)', () => {
  const folder = mkdtempSync(join(tmpdir(), 'syncline-mariadb-tls-'));
  let server: MariadbServer;
  let databases = 0;
  const sinks: Sink[] = [];
  const keep = (sink: Sink) => {
    sinks.push(sink);
    return sink;
  };
  const newSink = async (tables: readonly string[], options: Partial<MysqlOptions> = {}) => {
    const database = `s${++databases}`;
    return { sink: keep(await sinkOn(server, database, tables, options)), database };
  };
  const open = (url: string, options: Partial<MysqlOptions> = {}) =>
    keep(openMysqlSink({ name: 'main', url, schema: 'strict', clock: systemClock, ...options }));
  const emptyDatabase = async () => {
    const database = `s${++databases}`;
    await server.query(`CREATE DATABASE ${database} CHARACTER SET utf8mb4`);
    return database;
  };
  const independentOf = (sink: Sink) =>
    sink
      .tables()
      .filter((table) => table.independent)
      .map((table) => table.name)
      .sort();
  /** A user with `grants` on `database`, and a URL for it. */
  const userWith = async (database: string, grants: string) => {
    const user = `u${++databases}`;
    await server.query([`CREATE USER ${user}@'%' IDENTIFIED BY 'p@ss:word'`, `GRANT ${grants} ON ${database}.* TO ${user}@'%'`]);
    return server.url(database).replace('root@', `${user}:p%40ss%3Aword@`);
  };

  beforeAll(async () => {
    const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
    const request =
      'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=db -addext subjectAltName=IP:127.0.0.1';
    execFileSync('openssl', [...request.split(' '), '-keyout', key, '-out', cert], { stdio: 'pipe' });
    server = await startMariadb({ args: [`--ssl-cert=${cert}`, `--ssl-key=${key}`] });
  });
  afterAll(async () => {
    for (const sink of sinks) await sink.close();
    await server.close();
    rmSync(folder, { recursive: true, force: true });
  });

  describe('tables of our own that are missing later', () => {
    const DROPPED = ['DROP TABLE syncline_watermark', 'DROP TABLE syncline_barrier', 'DROP TABLE syncline_meta'];

    test('are made again, with what the sink was set up with, and what failed can be tried again', async () => {
      const { sink, database } = await newSink([], { settings: SETTINGS });
      await server.query(DROPPED, database);
      await expect(beginIn(sink, 0, CLAIM)).rejects.toMatchObject({
        code: 'sink_unavailable',
        message: expect.stringMatching(/syncline_watermark' doesn't exist; it is created again$/) as string,
      });
      const transaction = await eventually(() => beginIn(sink, 0, CLAIM));
      await transaction.commit(new Map([[STREAM, { seq: 1, crc: 1 }]]), []);
      await sink.harden!();
      const other = open(server.url(database));
      await expect(other.prepare({ ...SETTINGS, partitions: SETTINGS.partitions + 1 })).rejects.toMatchObject({ code: 'sink_mismatch' });
    });

    test('are asked for where they may not be made', async () => {
      const database = await emptyDatabase();
      await open(server.url(database)).prepare(SETTINGS);
      const sink = open(await userWith(database, 'SELECT, INSERT, UPDATE, DELETE'), { settings: SETTINGS });
      await sink.prepare(SETTINGS);
      await server.query(DROPPED, database);
      await eventually(() => expect(sink.harden!()).rejects.toMatchObject({ message: expect.stringMatching(/GRANT.* CREATE/) as string }));
    });
  });

  describe('tables', () => {
    test('are known by their exact name, with primary key and columns; views and own tables are not', async () => {
      const { sink } = await newSink([
        'CREATE TABLE `a.b` (`x y` INT, `Z` VARCHAR(10), w INT, PRIMARY KEY (w, `x y`))',
        'CREATE VIEW seen AS SELECT * FROM `a.b`',
      ]);
      expect(sink.tables().map((table) => table.name)).toEqual(['a.b']);
      const table = sink.table('a.b');
      expect([table?.key, table?.columns, table?.independent]).toEqual([['w', 'x y'], ['x y', 'Z', 'w'], true]);
      expect([sink.table('A.B'), sink.table('seen'), sink.table('syncline_meta')]).toEqual([undefined, undefined, undefined]);
      await sink.refreshSchema(['syncline_meta', 'seen', 'a.b']);
      expect(sink.tables().map((each) => each.name)).toEqual(['a.b']);
    });

    test('of a name that no table can have are unknown, and nothing fails', async () => {
      const { sink } = await newSink(['CREATE TABLE t (id INT PRIMARY KEY)']);
      const names = ['\u{1f984}', 't\u{10ffff}', '\ufffd', 'a\0b', '\ud800', 't'.repeat(65), '', ' ', 't '];
      await sink.refreshSchema([...names, 't']);
      for (const name of names) {
        await sink.refreshSchema([name]);
        expect(sink.table(name), JSON.stringify(name)).toBeUndefined();
      }
      expect(sink.table('t')).toBeDefined();
    });

    test('are independent only when no row can decide about another', async () => {
      const other = await emptyDatabase();
      const { sink, database } = await newSink([
        'CREATE TABLE plain (id INT PRIMARY KEY, v INT, j JSON, KEY (v))',
        'CREATE TABLE uniq (id INT PRIMARY KEY, v INT UNIQUE)',
        'CREATE TABLE parent (id INT PRIMARY KEY)',
        'CREATE TABLE child (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES parent (id))',
        'CREATE TABLE checked (id INT PRIMARY KEY, v INT CHECK (v > 0))',
        'CREATE TABLE watched (id INT PRIMARY KEY)',
        'CREATE TABLE far (id INT PRIMARY KEY)',
        'CREATE TRIGGER t AFTER DELETE ON watched FOR EACH ROW SET @x = 1',
        `CREATE TABLE ${other}.near (id INT PRIMARY KEY, f INT, FOREIGN KEY (f) REFERENCES s${databases + 1}.far (id))`,
      ]);
      expect(independentOf(sink)).toEqual(['plain']);
      await sink.refreshSchema(['far', 'plain', 'parent']);
      expect(independentOf(sink)).toEqual(['plain']);
      await server.query('DROP TRIGGER t', database);
      await sink.refreshSchema(['watched']);
      expect(independentOf(sink)).toEqual(['plain', 'watched']);
    });

    test('are independent only when the database computes nothing from their columns', async () => {
      const { sink } = await newSink([
        "CREATE TABLE plain (id INT PRIMARY KEY, `now` INT DEFAULT 5, s VARCHAR(20) DEFAULT 'it''s id', n INT DEFAULT NULL, u CHAR(36) DEFAULT uuid())",
        'CREATE TABLE stamped (id INT PRIMARY KEY, a DATETIME(3) DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3))',
        'CREATE TABLE counted (id INT AUTO_INCREMENT PRIMARY KEY)',
        'CREATE TABLE generated (id INT PRIMARY KEY, v INT, g INT AS (100 DIV v) STORED)',
        'CREATE TABLE virtual_one (id INT PRIMARY KEY, v INT, g INT AS (v + 1) VIRTUAL)',
        'CREATE TABLE defaulted (id INT PRIMARY KEY, v INT, d INT DEFAULT (v + 1))',
        'CREATE TABLE copied (id INT PRIMARY KEY, `x y` INT, d INT DEFAULT (`x y`))',
        'CREATE TABLE numbered (id INT PRIMARY KEY, n INT AUTO_INCREMENT, KEY (n))',
        'CREATE SEQUENCE numbers',
        'CREATE TABLE sequenced (id INT PRIMARY KEY, n INT DEFAULT NEXTVAL(numbers))',
        'CREATE TABLE partitioned (id INT PRIMARY KEY) PARTITION BY RANGE (id) (PARTITION p VALUES LESS THAN (10))',
        'CREATE TABLE versioned (id INT PRIMARY KEY) WITH SYSTEM VERSIONING',
      ]);
      expect(independentOf(sink)).toEqual(['counted', 'plain', 'stamped']);
    });

    describe('are independent only when no trigger may touch them:', () => {
      const tables = ['on_it', 'Named', '`odd ``name`', 'hidden', 'free', 'freely'].map(
        (name) => `CREATE TABLE ${name} (id INT PRIMARY KEY, v INT)`,
      );
      const all = ['Named', 'free', 'freely', 'hidden', 'odd `name'];
      const others: [what: string, statement: string, independent: string[]][] = [
        ['a trigger that names none', 'SET NEW.v = COALESCE(NEW.v, 0)', all],
        ['a trigger that writes to one', 'INSERT INTO nAMED (id, v) VALUES (NEW.id, 1)', ['free', 'freely', 'hidden', 'odd `name']],
        ['a trigger that reads one', 'SET NEW.v = (SELECT COUNT(*) FROM free)', ['Named', 'freely', 'hidden', 'odd `name']],
        ['a name that needs quotes', 'DELETE FROM `odd ``name` WHERE id IN (NEW.id)', ['Named', 'free', 'freely', 'hidden']],
        ['a view on a view', 'INSERT INTO outer_view (id) VALUES (NEW.id)', ['Named', 'free', 'freely', 'odd `name']],
        ['a procedure', 'CALL something', []],
        ['a stored function', 'SET NEW.v = something(NEW.id)', []],
        ['a stored function that has the name of another', 'SET NEW.v = other.upper(NEW.id)', []],
      ];
      test.each(others)('%s', async (_, statement, independent) => {
        const { sink } = await newSink([
          ...tables,
          'CREATE VIEW inner_view AS SELECT id FROM hidden',
          'CREATE VIEW outer_view AS SELECT id FROM inner_view',
          `CREATE TRIGGER t BEFORE INSERT ON on_it FOR EACH ROW ${statement}`,
        ]);
        expect(independentOf(sink)).toEqual(independent);
        await sink.refreshSchema(all);
        expect(independentOf(sink)).toEqual(independent);
      });

      test('a trigger that leads back from another database', async () => {
        const other = await emptyDatabase();
        const { sink } = await newSink([
          ...tables,
          `CREATE TABLE ${other}.log (id INT PRIMARY KEY)`,
          `CREATE TRIGGER t BEFORE INSERT ON on_it FOR EACH ROW INSERT INTO ${other}.log (id) VALUES (NEW.id)`,
          `CREATE TRIGGER ${other}.t AFTER INSERT ON ${other}.log FOR EACH ROW UPDATE s${databases + 1}.hidden SET v = 1`,
        ]);
        expect(independentOf(sink)).toEqual(['Named', 'free', 'freely', 'odd `name']);
      });

      test('a view that the user may not look into', async () => {
        const database = await emptyDatabase();
        const statements = [
          ...tables,
          'CREATE VIEW closed AS SELECT id FROM hidden',
          'CREATE TRIGGER t BEFORE INSERT ON on_it FOR EACH ROW INSERT INTO closed (id) VALUES (NEW.id)',
        ];
        await server.query(statements, database);
        const rights = 'SELECT, INSERT, UPDATE, DELETE, CREATE, TRIGGER';
        const blind = open(await userWith(database, rights));
        await blind.prepare(SETTINGS);
        expect(independentOf(blind)).toEqual([]);
        const seeing = open(await userWith(database, `${rights}, SHOW VIEW`));
        await seeing.prepare(SETTINGS);
        expect(independentOf(seeing)).toEqual(['Named', 'free', 'freely', 'odd `name']);
      });

      test('a trigger that another one sets off', async () => {
        const { sink } = await newSink([
          ...tables,
          'CREATE TRIGGER one BEFORE INSERT ON on_it FOR EACH ROW INSERT INTO free VALUES (NEW.id, 1)',
          'CREATE TRIGGER two BEFORE INSERT ON free FOR EACH ROW DELETE FROM hidden WHERE id = NEW.id',
        ]);
        expect(independentOf(sink)).toEqual(['Named', 'freely', 'odd `name']);
      });
    });

    test('say what is wrong with an operation, a key or a column', async () => {
      const { sink } = await newSink([
        "CREATE TABLE t (a INT, b INT, c INT NOT NULL, d INT NOT NULL DEFAULT 1, e INT AS (a + b), f ENUM('x','y') NOT NULL, g INT, h VARCHAR(900), PRIMARY KEY (a, b), UNIQUE u (c), UNIQUE nullable (g), UNIQUE prefixed (h(10)))",
        'CREATE TABLE keyless (a INT)',
        'CREATE TABLE old (a INT PRIMARY KEY) ENGINE=MyISAM',
        'CREATE TABLE counted (id INT AUTO_INCREMENT PRIMARY KEY, v INT)',
      ]);
      const code = (table: string, op: Op, keyCount: number, ...columns: string[]) => {
        const shape = sink.table(table)?.shape(op, keyCount, columns);
        return shape !== undefined && 'code' in shape ? shape.code : 'fine';
      };
      expect(code('t', 'upsert', 2, 'a', 'b', 'd')).toBe('fine');
      expect(code('t', 'delete', 1, 'c')).toBe('fine');
      expect(code('t', 'insert', 2, 'a', 'b', 'c')).toBe('fine');
      expect(code('t', 'insert', 2, 'a', 'b')).toBe('null_not_allowed');
      expect(code('t', 'upsert', 2, 'b', 'a', 'd')).toBe('wrong_key');
      expect(code('t', 'upsert', 1, 'a', 'b')).toBe('wrong_key');
      expect(code('t', 'delete', 2, 'a', 'b', 'c')).toBe('wrong_key');
      expect(code('t', 'delete', 1, 'g')).toBe('wrong_key');
      expect(code('t', 'delete', 1, 'h')).toBe('wrong_key');
      expect(code('t', 'upsert', 2, 'a', 'b', 'nothing')).toBe('unknown_column');
      expect(code('t', 'upsert', 2, 'a', 'b', 'D')).toBe('unknown_column');
      expect(code('t', 'upsert', 2, 'a', 'b', 'd', 'd')).toBe('malformed_payload');
      expect(code('t', 'upsert', 2, 'a', 'b', 'e')).toBe('column_generated');
      expect(code('keyless', 'upsert', 1, 'a')).toBe('no_primary_key');
      expect(code('old', 'upsert', 1, 'a')).toBe('value_refused');
      expect(shapeOf(sink, 't', 'upsert', 2, ['a', 'b']).suffices).toBe(false);
      expect(shapeOf(sink, 't', 'upsert', 2, ['a', 'b', 'c']).suffices).toBe(true);
      expect(shapeOf(sink, 'counted', 'insert', 1, ['id']).check([null])?.code).toBe('null_not_allowed');
    });

    test('a key of zero in an AUTO_INCREMENT column stays zero', async () => {
      const { sink, database } = await newSink(['CREATE TABLE counted (id INT AUTO_INCREMENT PRIMARY KEY, v INT)']);
      await writeAll(sink, [
        group(
          sink,
          'counted',
          'upsert',
          1,
          ['id', 'v'],
          [
            [0, 1],
            [5, 2],
          ],
        ),
      ]);
      expect(await server.query('SELECT * FROM counted', database)).toEqual([
        { id: 0, v: 1 },
        { id: 5, v: 2 },
      ]);
    });

    test('changes can name a unique key that is not the primary one', async () => {
      const { sink, database } = await newSink([
        'CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, code VARCHAR(20) COLLATE utf8mb4_bin NOT NULL UNIQUE, v INT)',
      ]);
      const columns = ['code', 'v'];
      await writeAll(sink, [
        group(sink, 't', 'upsert', 1, columns, [
          ['a', 1],
          ['b', 2],
        ]),
      ]);
      await writeAll(sink, [
        group(sink, 't', 'upsert', 1, columns, [
          ['b', 3],
          ['c', 4],
        ]),
        group(sink, 't', 'update', 1, columns, [
          ['a', 9],
          ['c', 8],
        ]),
        group(sink, 't', 'delete', 1, ['code'], [['b']]),
      ]);
      expect(await server.query('SELECT code, v FROM t ORDER BY code', database)).toEqual([
        { code: 'a', v: 9 },
        { code: 'c', v: 8 },
      ]);
    });
  });

  describe('setting up', () => {
    test('works without the right to create where the tables are there, and says what to grant where they are not', async () => {
      const database = await emptyDatabase();
      const url = await userWith(database, 'SELECT, INSERT, UPDATE, DELETE');
      const refused = await open(url)
        .prepare(SETTINGS)
        .catch((error: unknown) => error);
      expect(refused).toMatchObject({ code: 'sink_denied', message: expect.stringContaining(`GRANT CREATE ON \`${database}\`.*`) });
      expect((refused as Error).message).not.toContain('p@ss');
      await server.query([...BOOKKEEPING.values()], database);
      const sink = open(url);
      await sink.prepare(SETTINGS);
      const transaction = await beginIn(sink, 0, CLAIM);
      await transaction.commit(new Map([[STREAM, { seq: 1, crc: 1 }]]), []);
      expect((await sink.readStream(STREAM)).watermarks.get(0)?.seq).toBe(1);
    });

    test('says what to grant when it may only read', async () => {
      const database = await emptyDatabase();
      await server.query([...BOOKKEEPING.values()], database);
      await open(server.url(database)).prepare(SETTINGS);
      await expect(open(await userWith(database, 'SELECT')).prepare(SETTINGS)).rejects.toMatchObject({
        code: 'sink_denied',
        message: expect.stringContaining('GRANT SELECT, INSERT, UPDATE, DELETE'),
      });
    });

    test('refuses bookkeeping tables without transactions, and warns of such data tables', async () => {
      const database = await emptyDatabase();
      await server.query(['CREATE TABLE old (id INT PRIMARY KEY) ENGINE=MyISAM'], database);
      expect(await open(server.url(database)).prepare(SETTINGS)).toEqual([expect.stringContaining('table old uses the engine MyISAM')]);
      await server.query('ALTER TABLE syncline_watermark ENGINE=Aria', database);
      await expect(open(server.url(database)).prepare(SETTINGS)).rejects.toMatchObject({ code: 'sink_unsuitable' });
    });

    test('warns where commits are not durable', async () => {
      const database = await emptyDatabase();
      await server.query('SET GLOBAL innodb_flush_log_at_trx_commit=2');
      expect(await open(server.url(database)).prepare(SETTINGS)).toEqual([expect.stringContaining('innodb_flush_log_at_trx_commit is 2')]);
      await server.query('SET GLOBAL innodb_flush_log_at_trx_commit=1');
    });

    test('refuses another number of partitions, another mapping and tables of a newer version, and tells both', async () => {
      const { sink, database } = await newSink([]);
      await expect(sink.prepare({ partitions: 8, mapping: '' })).rejects.toMatchObject({
        code: 'sink_mismatch',
        message: expect.stringMatching(/16 partitions.*says 8/),
      });
      await server.query('UPDATE syncline_meta SET schema_version=99', database);
      await expect(sink.prepare(SETTINGS)).rejects.toMatchObject({ code: 'sink_mismatch', message: expect.stringContaining('99') });
    });

    test('of many nodes at once gives one sink', async () => {
      const database = await emptyDatabase();
      await Promise.all(Array.from({ length: 5 }, () => open(server.url(database)).prepare(SETTINGS)));
      expect(await server.query('SELECT COUNT(*) AS n FROM syncline_meta', database)).toEqual([{ n: '1' }]);
    });

    test('sets what it relies on, whatever the server says', async () => {
      await server.query([
        "SET GLOBAL sql_mode='ANSI_QUOTES,NO_BACKSLASH_ESCAPES'",
        "SET GLOBAL time_zone='-07:00'",
        'SET GLOBAL autocommit=0',
        "SET GLOBAL tx_isolation='SERIALIZABLE'",
        'SET GLOBAL foreign_key_checks=0',
      ]);
      try {
        const { sink, database } = await newSink([
          'CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(50), at TIMESTAMP(3) NULL)',
          'CREATE TABLE c (id INT PRIMARY KEY, t INT, FOREIGN KEY (t) REFERENCES t (id))',
        ]);
        await writeAll(sink, [group(sink, 't', 'upsert', 1, ['id', 'v', 'at'], [[1, `a\\'b"c`, new Timestamp(1_000_000_000, 0)]])]);
        await expect(writeAll(sink, [group(sink, 'c', 'insert', 1, ['id', 't'], [[1, 77]])])).rejects.toMatchObject({
          code: 'foreign_key',
        });
        await server.query('SET GLOBAL sql_mode=DEFAULT');
        expect(await server.query('SELECT v, UNIX_TIMESTAMP(at) AS at FROM t', database)).toEqual([{ v: `a\\'b"c`, at: '1000000000.000' }]);
      } finally {
        await server.query([
          'SET GLOBAL sql_mode=DEFAULT',
          'SET GLOBAL time_zone=DEFAULT',
          'SET GLOBAL autocommit=1',
          'SET GLOBAL tx_isolation=DEFAULT',
          'SET GLOBAL foreign_key_checks=1',
        ]);
      }
    });
  });

  describe('TLS', () => {
    const url = () => server.url('mysql');
    const ping = (tls: MysqlOptions['tls'], address = url()) =>
      open(address, { tls })
        .readStream(STREAM)
        .then(
          () => 'read',
          (error: { message: string }) => error.message,
        );

    test('checks the certificate against the authority and the address', async () => {
      const cert = join(folder, 'cert.pem');
      // The table is not there: the answer shows that the connection is.
      const answered = expect.stringContaining('syncline_stream');
      expect(await ping({ ca: cert })).toEqual(answered);
      expect(await ping({ ca: readFileSync(cert, 'utf8') })).toEqual(answered);
      expect(await ping({ rejectUnauthorized: false })).toEqual(answered);
      expect(await ping({})).toMatch(/self.signed/i);
      expect(await ping({ ca: cert }, url().replace('127.0.0.1', 'localhost'))).toMatch(/lost/);
      expect(await ping({ ca: join(folder, 'missing.pem') })).toContain('cannot be read');
    });

    test('is really used', async () => {
      const { database } = await newSink(['CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(50))']);
      await server.query(["CREATE USER secure@'%' IDENTIFIED BY 'x' REQUIRE SSL", "GRANT ALL ON *.* TO secure@'%'"]);
      const address = server.url(database).replace('root@', 'secure:x@');
      expect((await open(address, { tls: { ca: join(folder, 'cert.pem') } }).readStream(STREAM)).status).toBe('unknown');
      await expect(open(address).readStream(STREAM)).rejects.toMatchObject({ code: 'sink_denied' });
    });
  });

  describe('evolving', () => {
    const batch = (table: string, op: Op, keyCount: number, columns: readonly string[], rows: readonly Row[]): Batch => ({
      groups: [{ table, op, keyCount, columns, rows }],
    });

    test('makes tables and columns that hold what comes, exactly', async () => {
      const { sink, database } = await newSink([], { schema: 'evolve' });
      const columns = ['id', 'part', 'n', 'big', 'x', 'flag', 'label', 'raw', 'at', 'doc', 'none'];
      const row: Row = [
        7,
        'k ',
        -5,
        2n ** 64n - 1n,
        1.25,
        true,
        'x'.repeat(70_000),
        Buffer.from([0, 255]),
        new Timestamp(1, 500_000_000),
        [1, { a: null }],
        null,
      ];
      await sink.evolve([batch('made', 'upsert', 2, columns, [row])]);
      await writeAll(sink, [
        group(sink, 'made', 'upsert', 2, columns, [row, [7, 'k', null, null, 2, false, 'é', Buffer.alloc(0), null, {}, null]]),
      ]);
      const [one] = await server.query("SELECT * FROM made WHERE part = 'k '", database);
      expect(one).toMatchObject({
        id: '7',
        n: '-5',
        big: '18446744073709551615',
        x: 1.25,
        flag: 1,
        at: '1970-01-01 00:00:01.500000',
        doc: '[1,{"a":null}]',
        none: null,
      });
      expect(sink.table('made')?.independent).toBe(true);
      await sink.evolve([batch('made', 'upsert', 2, ['id', 'part', 'later', 'N'], [[1, 'a', 'text', 1]])]);
      expect(sink.table('made')?.columns).toEqual([...columns, 'later']);
    });

    test('leaves alone what it may not or cannot make, and goes on with the rest', async () => {
      const { sink, database } = await newSink(['CREATE TABLE fixed (id INT PRIMARY KEY, v TINYINT)'], { schema: 'evolve' });
      await sink.evolve([
        batch('syncline_meta2', 'upsert', 1, ['id'], [[1]]),
        batch('Syncline_Watermark', 'upsert', 1, ['id', 'x'], [[1, 1]]),
        batch('odd`name', 'upsert', 1, ['id'], [[1]]),
        batch(
          'many',
          'upsert',
          1,
          Array.from({ length: 1100 }, (_, i) => `c${i}`),
          [Array.from({ length: 1100 }, () => 1)],
        ),
        batch('fixed', 'upsert', 1, ['id', 'v', 'bad-name', 'good'], [[1, 5000, 1, 1]]),
        batch('fine', 'delete', 1, ['id'], [[1]]),
      ]);
      const tables = (await server.query('SHOW TABLES', database))
        .map((row) => Object.values(row)[0])
        .filter((name) => !String(name).startsWith('syncline_'));
      expect(tables).toEqual(['fine', 'fixed']);
      expect(await server.query("SHOW TABLES LIKE 'syncline_meta2'", database)).toEqual([]);
      expect(sink.table('fixed')?.columns).toEqual(['id', 'v', 'good']);
      expect(shapeOf(sink, 'fixed', 'upsert', 1, ['id', 'v']).check([1, 5000])?.code).toBe('out_of_range');
    });

    test('adds many columns in few statements, and as many as a table can have', async () => {
      const { sink, database } = await newSink(['CREATE TABLE wide (id INT PRIMARY KEY)'], { schema: 'evolve' });
      const alterations = async () => Number((await server.query("SHOW GLOBAL STATUS LIKE 'Com_alter_table'"))[0]?.['Value']);
      const columnCount = async () =>
        Number(
          (
            await server.query(`SELECT COUNT(*) AS n FROM information_schema.COLUMNS WHERE TABLE_SCHEMA='${database}'
          AND TABLE_NAME='wide'`)
          )[0]?.['n'],
        );
      const evolve = async (from: number, to: number) => {
        const columns = Array.from({ length: to - from }, (_, i) => `c${from + i}`);
        await sink.evolve([
          { groups: [{ table: 'wide', op: 'upsert', keyCount: 1, columns: ['id', ...columns], rows: [[1, ...columns.map(() => 1)]] }] },
        ]);
      };
      const before = await alterations();
      await evolve(0, 400);
      expect([await columnCount(), (await alterations()) - before]).toEqual([401, 1]);
      await evolve(400, 3000);
      expect(await columnCount()).toBeGreaterThan(900);
      expect((await alterations()) - before).toBeLessThan(30);
    });

    test('by several nodes at once ends in one table', async () => {
      const { sink, database } = await newSink([], { schema: 'evolve' });
      const others = Array.from({ length: 3 }, () => open(server.url(database), { schema: 'evolve' }));
      const wanted = [batch('shared', 'upsert', 1, ['id', 'a', 'b'], [[1, 1, 'x']])];
      await Promise.all([sink, ...others].map((each) => each.evolve(wanted)));
      await Promise.all([sink, ...others].map((each) => each.evolve([batch('shared', 'upsert', 1, ['id', 'c'], [[1, 1]])])));
      await sink.refreshSchema();
      expect(sink.table('shared')?.columns).toEqual(['id', 'a', 'b', 'c']);
    });
  });
});
