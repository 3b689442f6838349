import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Row } from '../../src/core/change.ts';
import type { Sink } from '../../src/sinks/sink.ts';
import { mariadbAvailable, startMariadb, type MariadbServer } from '../support/mariadb-server.ts';
import { group, shapeOf, sinkOn, writeAll, writeSingly } from './mysql-harness.ts';
import { beginIn, type OnePartition } from '../support/one-partition.ts';

describe.skipIf(!mariadbAvailable())('writing on MariaDB (skipped where mariadbd is not installed)', () => {
  let server: MariadbServer;
  let databases = 0;
  const sinks: Sink[] = [];
  const newSink = async (tables: readonly string[], options = {}) => {
    const database = `d${++databases}`;
    const sink = await sinkOn(server, database, tables, options);
    sinks.push(sink);
    return { sink, database };
  };

  beforeAll(async () => {
    server = await startMariadb({ args: ['--max-allowed-packet=4M', '--lock-wait-timeout=5'] });
  });
  afterAll(async () => {
    for (const sink of sinks) await sink.close();
    await server.close();
  });

  const ITEM = 'CREATE TABLE item (id INT PRIMARY KEY, name VARCHAR(50), amount INT)';
  const PERSON = 'CREATE TABLE person (id INT PRIMARY KEY, email VARCHAR(50) COLLATE utf8mb4_bin UNIQUE, name VARCHAR(50))';

  test('small tables of two partitions do not wait for each other', async () => {
    const { sink } = await newSink([ITEM, "INSERT INTO item VALUES (1,'a',1),(2,'a',2),(3,'a',3),(4,'a',4),(5,'a',5),(6,'a',6)"]);
    const streams = ['00', '11', '22', '33'].map((byte) => ({ stream: byte.repeat(16), producer: 'p' }));
    const one = await beginIn(sink, 0, streams);
    const two = await beginIn(sink, 1, streams);
    const write = (transaction: OnePartition, ids: number[]) =>
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

  test.each([1001, 1205, 30001])('a trigger that refuses with error number %i of its own is believed', async (errno) => {
    const { sink } = await newSink([
      ITEM,
      `CREATE TRIGGER guard BEFORE INSERT ON item FOR EACH ROW IF NEW.amount < 0 THEN SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO=${errno}; END IF`,
    ]);
    const groups = [group(sink, 'item', 'insert', 1, ['id', 'amount'], [[5, -1]])];
    await expect(writeAll(sink, groups)).rejects.toMatchObject({ code: 'check_failed' });
    expect((await writeSingly(sink, groups))[0]?.code).toBe('check_failed');
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

  test('a key with characters that its charset lacks is refused, whatever the operation, and holds up nobody', async () => {
    const { sink } = await newSink(['CREATE TABLE t (k VARCHAR(20) CHARACTER SET sjis COLLATE sjis_bin PRIMARY KEY, v INT, u INT UNIQUE)']);
    for (const [op, columns, row] of [
      ['delete', ['k'], ['\u{1f984}']],
      ['update', ['k', 'v'], ['\u{1f984}', 1]],
      ['upsert', ['k', 'v'], ['\u{1f984}', 1]],
      ['insert', ['k', 'v'], ['\u{1f984}', 1]],
    ] as const) {
      const groups = [group(sink, 't', op, 1, columns, [row])];
      await expect(writeAll(sink, groups), op).rejects.toMatchObject({ kind: 'permanent' });
      expect(await writeSingly(sink, groups), op).toEqual([expect.objectContaining({ code: 'wrong_type' })]);
    }
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
