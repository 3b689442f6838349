import { existsSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Op, Row } from '../../core/change.ts';
import { systemClock } from '../../core/clock.ts';
import { START } from '../../core/stream.ts';
import { isFault, type Shape, type Sink } from '../sink.ts';
import { openSqliteSink } from './sqlite.ts';
import { beginIn } from '../../../test/support/one-partition.ts';

const SETTINGS = { partitions: 4, mapping: '' };
const STREAM = 'a'.repeat(32);

let folder: string;
let file: string;
let db: DatabaseSync;
const sinks: Sink[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'syncline-sqlite-'));
  file = join(folder, 'data.db');
  db = new DatabaseSync(file);
});

afterEach(async () => {
  for (const sink of sinks.splice(0)) await sink.close();
  if (db.isOpen) db.close();
  rmSync(folder, { recursive: true });
});

const open = async (sql = '') => {
  db.exec(sql);
  const sink = openSqliteSink({ name: 'main', file, schema: 'strict', clock: systemClock });
  sinks.push(sink);
  await sink.prepare(SETTINGS);
  return sink;
};

function shapeOf(sink: Sink, table: string, op: Op, keyCount: number, columns: readonly string[]): Shape {
  const shape = sink.table(table)?.shape(op, keyCount, columns);
  if (shape === undefined || isFault(shape)) throw new Error(`${table}: ${shape?.message ?? 'no such table'}`);
  return shape;
}

const codeOf = (sink: Sink, table: string, op: Op, keyCount: number, columns: readonly string[]) => {
  const shape = sink.table(table)?.shape(op, keyCount, columns);
  return shape !== undefined && isFault(shape) ? shape.code : undefined;
};

const independentOf = (sink: Sink) =>
  sink
    .tables()
    .filter((table) => table.independent)
    .map((table) => table.name)
    .sort();

/** Applies one change after another in one transaction and returns the codes of the faults. */
async function applyAll(sink: Sink, changes: readonly [table: string, op: Op, keyCount: number, columns: readonly string[], row: Row][]) {
  const transaction = await beginIn(sink, 0, []);
  const codes = [];
  for (const [table, op, keyCount, columns, row] of changes)
    codes.push((await transaction.writeOne(shapeOf(sink, table, op, keyCount, columns), row))?.code);
  await transaction.commit(new Map(), []);
  return codes;
}

const rows = (sql: string) =>
  db
    .prepare(sql)
    .all()
    .map((row) => Object.values(row));

describe('tables of every make', () => {
  test('conflict clauses in the definition neither replace nor swallow rows', async () => {
    const sink = await open(
      'CREATE TABLE t (id INTEGER PRIMARY KEY ON CONFLICT REPLACE, u TEXT UNIQUE ON CONFLICT IGNORE, n TEXT NOT NULL ON CONFLICT IGNORE)',
    );
    const columns = ['id', 'u', 'n'];
    expect(
      await applyAll(sink, [
        ['t', 'insert', 1, columns, [1, 'a', 'x']],
        ['t', 'insert', 1, columns, [1, 'b', 'x']],
        ['t', 'insert', 1, columns, [2, 'a', 'x']],
        ['t', 'upsert', 1, columns, [3, 'a', 'x']],
        ['t', 'upsert', 1, columns, [1, 'c', 'y']],
        ['t', 'insert', 1, columns, [4, 'd', null]],
      ]),
    ).toEqual([undefined, 'duplicate_key', 'duplicate_unique', 'duplicate_unique', undefined, 'null_not_allowed']);
    expect(rows('SELECT * FROM t')).toEqual([[1, 'c', 'y']]);
  });

  test('another unique index over the key with another collation is never taken for the key', async () => {
    const sink = await open('CREATE TABLE t (k TEXT NOT NULL, v INT, PRIMARY KEY (k)); CREATE UNIQUE INDEX i ON t (k COLLATE NOCASE)');
    expect(
      await applyAll(sink, [
        ['t', 'upsert', 1, ['k', 'v'], ['abc', 1]],
        ['t', 'upsert', 1, ['k', 'v'], ['ABC', 2]],
        ['t', 'update', 1, ['k', 'v'], ['ABC', 3]],
        ['t', 'delete', 1, ['k'], ['ABC']],
      ]),
    ).toEqual([undefined, 'duplicate_unique', 'row_missing', undefined]);
    expect(rows('SELECT * FROM t')).toEqual([['abc', 1]]);
  });

  test('a key column that ignores case, with a key that does not, changes one row only', async () => {
    const sink = await open('CREATE TABLE t (k TEXT COLLATE NOCASE NOT NULL, v INT, PRIMARY KEY (k COLLATE BINARY))');
    expect(
      await applyAll(sink, [
        ['t', 'upsert', 1, ['k', 'v'], ['abc', 1]],
        ['t', 'upsert', 1, ['k', 'v'], ['ABC', 2]],
        ['t', 'update', 1, ['k', 'v'], ['ABC', 3]],
        ['t', 'delete', 1, ['k'], ['abc']],
      ]),
    ).toEqual([undefined, undefined, undefined, undefined]);
    expect(rows('SELECT * FROM t')).toEqual([['ABC', 3]]);
  });

  test('keys compared without case take lower case only', async () => {
    const sink = await open('CREATE TABLE t (k TEXT COLLATE NOCASE PRIMARY KEY, v INT)');
    const shape = shapeOf(sink, 't', 'upsert', 1, ['k', 'v']);
    expect(shape.check(['Abc', 1])?.code).toBe('key_not_canonical');
    expect(shape.check(['abc', 1])).toBeUndefined();
  });

  test('without rowid, STRICT, with quotes and words of SQL in their names', async () => {
    const sink = await open('CREATE TABLE "or""der" ("select" TEXT, "a b" ANY, PRIMARY KEY ("select", "a b")) STRICT, WITHOUT ROWID');
    const columns = ['select', 'a b'];
    expect(
      await applyAll(sink, [
        ['or"der', 'insert', 2, columns, ['x', 1]],
        ['or"der', 'upsert', 2, columns, ['x', 1]],
        ['or"der', 'upsert', 2, columns, ['x', '1']],
        ['or"der', 'update', 2, columns, ['x', 2]],
      ]),
    ).toEqual([undefined, undefined, undefined, 'row_missing']);
    expect(rows('SELECT * FROM "or""der"')).toEqual([
      ['x', 1],
      ['x', '1'],
    ]);
  });

  test('a unique key without nulls serves as key beside the rowid', async () => {
    const sink = await open('CREATE TABLE t (id INTEGER PRIMARY KEY, code TEXT NOT NULL UNIQUE, loose TEXT UNIQUE, v INT)');
    expect([codeOf(sink, 't', 'upsert', 1, ['code', 'v']), codeOf(sink, 't', 'upsert', 1, ['loose', 'code'])]).toEqual([
      undefined,
      'wrong_key',
    ]);
    expect(
      await applyAll(sink, [
        ['t', 'upsert', 1, ['code', 'v'], ['a', 1]],
        ['t', 'upsert', 1, ['code', 'v'], ['a', 2]],
        ['t', 'insert', 1, ['code', 'v'], ['a', 3]],
        ['t', 'insert', 1, ['code', 'id'], ['b', 1]],
        ['t', 'delete', 1, ['code'], ['c']],
      ]),
    ).toEqual([undefined, undefined, 'duplicate_key', 'duplicate_unique', undefined]);
    expect(rows('SELECT * FROM t')).toEqual([[1, 'a', null, 2]]);
  });

  test('a unique key compared byte by byte serves as key, whatever its column compares by', async () => {
    const sink = await open(`
      CREATE TABLE t (id INTEGER PRIMARY KEY, code TEXT NOT NULL COLLATE NOCASE, v INT);
      CREATE UNIQUE INDEX t_code ON t (code COLLATE BINARY);
      CREATE TABLE u (id INTEGER PRIMARY KEY, code TEXT NOT NULL COLLATE NOCASE UNIQUE);`);
    expect(codeOf(sink, 'u', 'upsert', 1, ['code'])).toBe('wrong_key');
    expect(
      await applyAll(sink, [
        ['t', 'upsert', 1, ['code', 'v'], ['abc', 1]],
        ['t', 'upsert', 1, ['code', 'v'], ['ABC', 2]],
        ['t', 'update', 1, ['code', 'v'], ['ABC', 3]],
        ['t', 'delete', 1, ['code'], ['abc']],
      ]),
    ).toEqual([undefined, undefined, undefined, undefined]);
    expect(rows('SELECT code, v FROM t')).toEqual([['ABC', 3]]);
  });

  test('keys of several texts are told apart, whatever the texts hold', async () => {
    const sink = await open('CREATE TABLE t (a TEXT, b TEXT, PRIMARY KEY (a, b))');
    const shape = shapeOf(sink, 't', 'upsert', 2, ['a', 'b']);
    const keys = [
      ['', 'b1:c'],
      ['4:b', 'c'],
      ['a', 'bc'],
      ['ab', 'c'],
      ['1:a', 'b'],
    ].map((row) => shape.keyOf(row));
    expect(new Set(keys).size).toBe(keys.length);
  });

  test('computed columns are refused, and views and virtual tables are no tables', async () => {
    const sink = await open(`
      CREATE TABLE t (id INTEGER PRIMARY KEY, a INT, b INT AS (a * 2), c INT AS (a * 3) STORED);
      CREATE VIEW w AS SELECT * FROM t;
      CREATE VIRTUAL TABLE f USING fts5(text);`);
    expect(sink.tables().map(({ name }) => name)).toEqual(['t']);
    expect(['b', 'c'].map((column) => codeOf(sink, 't', 'upsert', 1, ['id', column]))).toEqual(['column_generated', 'column_generated']);
    expect(await applyAll(sink, [['t', 'insert', 1, ['id', 'a'], [1, 2]]])).toEqual([undefined]);
    expect(rows('SELECT * FROM t')).toEqual([[1, 2, 4, 6]]);
  });

  test('triggers may refuse a row, but not end the transaction', async () => {
    const sink = await open(`
      CREATE TABLE t (id INTEGER PRIMARY KEY, v INT);
      CREATE TRIGGER t_no BEFORE INSERT ON t WHEN new.v = 1 BEGIN SELECT RAISE(ABORT, 'no secret'); END;
      CREATE TRIGGER t_skip BEFORE INSERT ON t WHEN new.v = 2 BEGIN SELECT RAISE(IGNORE); END;
      CREATE TABLE u (id INTEGER PRIMARY KEY);
      CREATE TRIGGER u_no BEFORE INSERT ON u BEGIN SELECT RAISE(ROLLBACK, 'all of it'); END;`);
    expect(sink.table('t')?.independent).toBe(false);
    expect(
      await applyAll(sink, [
        ['t', 'insert', 1, ['id', 'v'], [1, 1]],
        ['t', 'insert', 1, ['id', 'v'], [2, 2]],
        ['t', 'insert', 1, ['id', 'v'], [3, 3]],
      ]),
    ).toEqual(['check_failed', 'value_refused', undefined]);
    expect(codeOf(sink, 'u', 'insert', 1, ['id'])).toBe('value_refused');
  });

  test('deferred foreign keys are looked at before COMMIT would', async () => {
    const sink = await open(`
      CREATE TABLE p (id INTEGER PRIMARY KEY);
      CREATE TABLE c (id INTEGER PRIMARY KEY, p INT REFERENCES p (id) DEFERRABLE INITIALLY DEFERRED);`);
    expect(
      await applyAll(sink, [
        ['c', 'insert', 1, ['id', 'p'], [1, 7]],
        ['p', 'insert', 1, ['id'], [7]],
        ['c', 'insert', 1, ['id', 'p'], [1, 7]],
        ['p', 'delete', 1, ['id'], [7]],
      ]),
    ).toEqual(['foreign_key', undefined, undefined, 'foreign_key']);
    const transaction = await beginIn(sink, 0, []);
    const child = { shape: shapeOf(sink, 'c', 'insert', 1, ['id', 'p']), rows: [[2, 8]] };
    await expect(transaction.write([child])).rejects.toMatchObject({ code: 'foreign_key' });
    await transaction.rollback();
    const ordered = await beginIn(sink, 0, []);
    await ordered.write([child, { shape: shapeOf(sink, 'p', 'insert', 1, ['id']), rows: [[8]] }]);
    await ordered.commit(new Map(), []);
    expect(rows('SELECT * FROM c')).toEqual([
      [1, 7],
      [2, 8],
    ]);
  });

  test('are independent only when nothing is computed from their columns', async () => {
    const sink = await open(`
      CREATE TABLE plain (id INTEGER PRIMARY KEY, v INT DEFAULT (1 + 1), at TEXT DEFAULT CURRENT_TIMESTAMP);
      CREATE INDEX whole ON plain (v);
      CREATE TABLE generated (id INTEGER PRIMARY KEY, v TEXT, g TEXT AS (json_extract(v, '$.a')) STORED);
      CREATE TABLE virtual_one (id INTEGER PRIMARY KEY, v INT, g INT AS (v + 1));
      CREATE TABLE computed (id INTEGER PRIMARY KEY, v TEXT);
      CREATE INDEX by_json ON computed (json_extract(v, '$.a'));
      CREATE TABLE partial (id INTEGER PRIMARY KEY, v TEXT);
      CREATE INDEX some ON partial (id) WHERE json_extract(v, '$.a') > 1;
    `);
    expect(independentOf(sink)).toEqual(['plain']);
  });

  test.each<[what: string, statement: string, independent: string[]]>([
    ['a trigger that names none', 'SELECT abs(NEW.v)', ['Named', 'free', 'freely', 'hidden', 'odd "name']],
    ['a trigger that writes to one', 'INSERT INTO nAMED (id) VALUES (NEW.id)', ['free', 'freely', 'hidden', 'odd "name']],
    ['a trigger that reads one', 'SELECT count(*) FROM [free]', ['Named', 'freely', 'hidden', 'odd "name']],
    ['a name that needs quotes', 'DELETE FROM "odd ""name"', ['Named', 'free', 'freely', 'hidden']],
    ['a view on a view', 'SELECT * FROM outer_view', ['Named', 'free', 'freely', 'odd "name']],
    ['a search index over one', "INSERT INTO found (found) VALUES ('rebuild')", ['Named', 'free', 'freely', 'odd "name']],
  ])('are independent only when no trigger may touch them: %s', async (_, statement, independent) => {
    const tables = ['on_it', 'Named', '"odd ""name"', 'hidden', 'free', 'freely'].map(
      (name) => `CREATE TABLE ${name} (id INTEGER PRIMARY KEY, v INT);`,
    );
    const sink = await open(`
      ${tables.join('')}
      CREATE VIEW inner_view AS SELECT id FROM hidden;
      CREATE VIEW outer_view AS SELECT id FROM inner_view;
      CREATE VIRTUAL TABLE found USING fts5 (v, content='hidden', content_rowid='id');
      CREATE TRIGGER t AFTER INSERT ON on_it BEGIN ${statement}; END;
    `);
    expect(independentOf(sink)).toEqual(independent);
  });

  test('stop being independent when a trigger somewhere comes to touch them', async () => {
    const sink = await open('CREATE TABLE a (id INTEGER PRIMARY KEY); CREATE TABLE b (id INTEGER PRIMARY KEY)');
    expect(independentOf(sink)).toEqual(['a', 'b']);
    db.exec('CREATE TRIGGER t AFTER INSERT ON a BEGIN DELETE FROM b; END');
    await sink.refreshSchema();
    expect(independentOf(sink)).toEqual([]);
  });

  test('warn about tables that take no changes', async () => {
    const sink = await open('CREATE TABLE t (v INT)');
    expect(await sink.prepare(SETTINGS)).toEqual([expect.stringContaining('primary key are refused: t')]);
  });
});

describe('the schema', () => {
  test('that changed after a change was planned is noticed before it is written', async () => {
    const sink = await open('CREATE TABLE t (id INTEGER PRIMARY KEY, v INT); CREATE TABLE same (id INTEGER PRIMARY KEY)');
    const shape = shapeOf(sink, 't', 'upsert', 1, ['id', 'v']);
    const same = shapeOf(sink, 'same', 'upsert', 1, ['id']);
    db.exec('ALTER TABLE t ADD COLUMN w INT');
    const transaction = await beginIn(sink, 0, []);
    await transaction.write([{ shape: same, rows: [[1]] }]);
    await expect(transaction.write([{ shape, rows: [[1, 1]] }])).rejects.toMatchObject({ code: 'sink_busy' });
    await transaction.rollback();
    expect(await applyAll(sink, [['t', 'upsert', 1, ['id', 'v'], [1, 1]]])).toEqual([undefined]);
  });

  test('of a table that was dropped is gone after it is read again', async () => {
    const sink = await open('CREATE TABLE t (id INTEGER PRIMARY KEY)');
    db.exec('DROP TABLE t');
    await sink.refreshSchema(['t']);
    expect(sink.table('t')).toBeUndefined();
  });

  test('remembers a bounded number of shapes', async () => {
    const names = Array.from({ length: 10 }, (_, index) => `c${index}`);
    const sink = await open(`CREATE TABLE t (id INTEGER PRIMARY KEY, ${names.map((name) => `${name} INT`).join(', ')})`);
    const shape = shapeOf(sink, 't', 'upsert', 1, ['id']);
    for (let mask = 1; mask < 1024; mask++) shapeOf(sink, 't', 'upsert', 1, ['id', ...names.filter((_, index) => (mask >> index) & 1)]);
    expect(shapeOf(sink, 't', 'upsert', 1, ['id'])).not.toBe(shape);
  });
});

describe('trouble', () => {
  test('a lock of another writer is waited for without blocking the thread, and then is transient', async () => {
    const sink = await open('CREATE TABLE t (id INTEGER PRIMARY KEY)');
    db.exec('BEGIN IMMEDIATE');
    const begun = beginIn(sink, 0, []);
    await new Promise((resolve) => setTimeout(resolve, 20));
    db.exec('COMMIT');
    await (await begun).rollback();
  });

  test('a lock that is never released is transient', async () => {
    const sink = await open();
    let nowMs = 0;
    const impatient = openSqliteSink({
      name: 'main',
      file,
      schema: 'strict',
      clock: { ...systemClock, monotonicMs: () => (nowMs += 2000) },
    });
    sinks.push(impatient);
    db.exec('BEGIN IMMEDIATE');
    await expect(beginIn(impatient, 0, [])).rejects.toMatchObject({ code: 'sink_busy' });
    expect((await sink.readStream(STREAM)).status).toBe('unknown');
    db.exec('COMMIT');
    await (await beginIn(impatient, 0, [])).rollback();
  });

  test('what is no database is refused at the start', async () => {
    db.close();
    writeFileSync(file, 'this is not a database, although it is long enough to be taken for one'.repeat(20));
    const sink = openSqliteSink({ name: 'main', file, schema: 'strict', clock: systemClock });
    sinks.push(sink);
    await expect(sink.prepare(SETTINGS)).rejects.toMatchObject({ code: 'sink_unsuitable' });
  });

  test('a folder that cannot be made is said', async () => {
    const sink = openSqliteSink({ name: 'main', file: join(file, 'below', 'data.db'), schema: 'strict', clock: systemClock });
    sinks.push(sink);
    await expect(sink.prepare(SETTINGS)).rejects.toMatchObject({ code: 'sink_unavailable', message: expect.stringContaining(file) });
  });

  test('a file that is gone is not made anew, and used again when it is back', async () => {
    const sink = await open('CREATE TABLE t (id INTEGER PRIMARY KEY)');
    db.close();
    const shape = shapeOf(sink, 't', 'insert', 1, ['id']);
    const transaction = await beginIn(sink, 1, [{ stream: STREAM, producer: 'p' }]);
    await transaction.write([{ shape, rows: [[1]] }]);
    const away = join(folder, 'away');
    for (const name of readdirSync(folder)) renameSync(join(folder, name), `${away}-${name}`);
    await expect(transaction.commit(new Map([[STREAM, { seq: 1, crc: 1 }]]), [])).rejects.toMatchObject({ code: 'sink_unavailable' });
    await transaction.rollback();
    await expect(beginIn(sink, 1, [])).rejects.toMatchObject({ code: 'sink_unavailable' });
    await expect(sink.readStream(STREAM)).rejects.toMatchObject({ code: 'sink_unavailable' });
    expect(existsSync(file)).toBe(false);
    for (const name of readdirSync(folder)) renameSync(join(folder, name), join(folder, name.slice('away-'.length)));
    const again = await beginIn(sink, 1, [{ stream: STREAM, producer: 'p' }]);
    expect(again.watermarks.get(STREAM)).toEqual(START);
    await again.write([{ shape, rows: [[1]] }]);
    await again.commit(new Map([[STREAM, { seq: 1, crc: 1 }]]), []);
    expect((await sink.readWatermarks(1, [STREAM])).get(STREAM)).toEqual({ seq: 1, crc: 1 });
  });

  test('a file that was replaced by a backup is read as it is', async () => {
    const sink = await open('CREATE TABLE t (id INTEGER PRIMARY KEY)');
    const copy = join(folder, 'copy.db');
    db.exec(`VACUUM INTO '${copy}'`);
    const transaction = await beginIn(sink, 1, [{ stream: STREAM, producer: 'p' }]);
    await transaction.commit(new Map([[STREAM, { seq: 5, crc: 5 }]]), []);
    db.close();
    for (const suffix of ['-wal', '-shm']) rmSync(file + suffix);
    renameSync(copy, file);
    expect((await sink.readStream(STREAM)).status).toBe('unknown');
    const after = await beginIn(sink, 1, [{ stream: STREAM, producer: 'p' }]);
    expect(after.watermarks.get(STREAM)).toEqual(START);
    await after.rollback();
  });

  test('closing ends what is open, and what comes later is refused', async () => {
    const sink = await open('CREATE TABLE t (id INTEGER PRIMARY KEY)');
    const transaction = await beginIn(sink, 0, []);
    await transaction.write([{ shape: shapeOf(sink, 't', 'insert', 1, ['id']), rows: [[1]] }]);
    await sink.close();
    await expect(transaction.commit(new Map(), [])).rejects.toMatchObject({ code: 'sink_unavailable' });
    await transaction.rollback();
    await expect(beginIn(sink, 0, [])).rejects.toMatchObject({ code: 'sink_unavailable' });
    expect(rows('SELECT * FROM t')).toEqual([]);
  });

  test('the write-ahead log is on, and a folder is made where it is missing', async () => {
    const deep = join(folder, 'a', 'b', 'data.db');
    const sink = openSqliteSink({ name: 'main', file: deep, schema: 'evolve', clock: systemClock });
    sinks.push(sink);
    await sink.prepare(SETTINGS);
    const other = new DatabaseSync(deep);
    expect(other.prepare('PRAGMA journal_mode').get()).toEqual({ journal_mode: 'wal' });
    other.close();
  });
});
