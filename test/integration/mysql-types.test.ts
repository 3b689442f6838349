import fc from 'fast-check';
import type { Connection } from 'mysql2/promise';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Value } from '../../src/core/change.ts';
import type { Sink } from '../../src/sinks/sink.ts';
import { mariadbAvailable, startMariadb, type MariadbServer } from '../support/mariadb-server.ts';
import { group, shapeOf, sinkOn, writeAll } from './mysql-harness.ts';
import { KEYS, TYPES, type Case } from './mysql-type-cases.ts';

describe.skipIf(!mariadbAvailable())('types on MariaDB (skipped where mariadbd is not installed)', () => {
  let server: MariadbServer;
  let sink: Sink;
  let reader: Connection;

  beforeAll(async () => {
    server = await startMariadb();
    const tables = TYPES.map(({ type }, i) => `CREATE TABLE t${i} (id INT PRIMARY KEY, must INT NOT NULL, v ${type})`);
    tables.push(...KEYS.map(({ type }, i) => `CREATE TABLE k${i} (id ${type} PRIMARY KEY, must INT NOT NULL, v INT)`));
    tables.push(...KEYS.map(({ type }, i) => `CREATE TABLE p${i} (id ${type}, n INT, must INT NOT NULL, v INT, PRIMARY KEY (id, n))`));
    tables.push('CREATE TABLE place (id INT PRIMARY KEY, v POINT)');
    sink = await sinkOn(server, 'types', tables);
    reader = await server.connect('types');
    // The sink's zone must not depend on the server's, nor what is read on ours.
    await reader.query("SET time_zone='+00:00'");
    await server.query("SET GLOBAL time_zone='+05:00'");
  });
  afterAll(async () => {
    await reader?.end();
    await sink?.close();
    await server?.close();
  });

  const roundTrip = async (index: number, cases: readonly Case[]) => {
    await reader.query(`DELETE FROM t${index}`);
    // The values are written in each of three ways: inserted, set by an upsert, and set by an update, which lists them in a CASE.
    const rows = (way: number) => cases.map(([sent], i): Value[] => [i, i % 3 >= way ? sent : null]);
    const withMust = (way: number) => rows(way).map(([id, sent]) => [id as Value, 1, sent as Value]);
    await writeAll(sink, [group(sink, `t${index}`, 'insert', 1, ['id', 'must', 'v'], withMust(2))]);
    await writeAll(sink, [group(sink, `t${index}`, 'upsert', 1, ['id', 'must', 'v'], withMust(1))]);
    await writeAll(sink, [group(sink, `t${index}`, 'update', 1, ['id', 'v'], rows(0))]);
    const select = `SELECT v FROM t${index} ORDER BY id`;
    // The driver's own reading of floats that come as text is off by some last bits; in the binary protocol they are exact.
    const [read] = await (/^(DOUBLE|FLOAT)/.test(TYPES[index]!.type) ? reader.execute(select) : reader.query(select));
    return (read as { v: unknown }[]).map((row) => row.v);
  };

  describe.each(TYPES.map((each, index) => ({ ...each, index })))('$type', ({ index, kept, refused, random, readAs }) => {
    test('keeps every value as it was sent', async () => {
      expect(await roundTrip(index, kept)).toEqual(kept.map((each) => (each.length === 1 ? each[0] : each[1])));
    });

    test('takes null', async () => {
      expect(await roundTrip(index, [[null]])).toEqual([null]);
    });

    if (refused !== undefined) {
      test('refuses what it cannot keep', () => {
        const shape = shapeOf(sink, `t${index}`, 'update', 1, ['id', 'v']);
        expect(refused.map(([value]) => shape.check([1, value])?.code)).toEqual(refused.map(([, code]) => code));
      });
    }

    if (random !== undefined) {
      test('keeps random values', async () => {
        const values = fc.sample(random, 500);
        const read = readAs ?? ((value: Value) => value);
        expect(
          await roundTrip(
            index,
            values.map((value) => [value]),
          ),
        ).toEqual(values.map(read));
      });
    }
  });

  test.each(KEYS)('rows are found by keys of type $type, alone and with another column', async ({ type, keys }) => {
    const names = KEYS.map((each) => each.type);
    const [alone, pair] = [`k${names.indexOf(type)}`, `p${names.indexOf(type)}`];
    await writeAll(sink, [
      group(
        sink,
        alone,
        'insert',
        1,
        ['id', 'must', 'v'],
        keys.map((key, i) => [key, 1, i]),
      ),
      group(
        sink,
        alone,
        'upsert',
        1,
        ['id', 'must', 'v'],
        keys.map((key, i) => [key, 1, i + 10]),
      ),
      group(
        sink,
        alone,
        'update',
        1,
        ['id', 'v'],
        keys.map((key, i) => [key, i + 100]),
      ),
      group(
        sink,
        alone,
        'update',
        1,
        ['id'],
        keys.map((key) => [key]),
      ),
      group(sink, alone, 'delete', 1, ['id'], [[keys[0] as Value]]),
      group(
        sink,
        pair,
        'upsert',
        2,
        ['id', 'n', 'must', 'v'],
        keys.flatMap((key, i) => [1, 2].map((n): Value[] => [key, n, 1, i])),
      ),
      group(
        sink,
        pair,
        'update',
        2,
        ['id', 'n', 'v'],
        keys.map((key, i) => [key, 2, i + 100]),
      ),
      group(
        sink,
        pair,
        'delete',
        2,
        ['id', 'n'],
        [
          [keys[0] as Value, 1],
          [keys[1] as Value, 2],
        ],
      ),
    ]);
    const read = async (table: string) =>
      ((await reader.query(`SELECT v FROM ${table} ORDER BY v`))[0] as { v: number }[]).map((row) => row.v);
    expect(await read(alone)).toEqual(keys.map((_, i) => i + 100).slice(1));
    expect(await read(pair)).toEqual([...keys.map((_, i) => i).slice(1), ...keys.map((_, i) => i + 100).filter((v) => v !== 101)]);
    const shape = shapeOf(sink, pair, 'delete', 2, ['id', 'n']);
    expect(new Set(keys.map((key) => shape.keyOf([key, 1]))).size).toBe(keys.length);
  });

  test('a column of a type that is not known refuses everything but null', async () => {
    const shape = shapeOf(sink, 'place', 'insert', 1, ['id', 'v']);
    expect(shape.check([1, 'POINT(1 1)'])).toMatchObject({ code: 'wrong_type' });
    expect(shape.check([1, null])).toBeUndefined();
  });

  test('what the sink takes for latin1 and what the server takes are the same', async () => {
    const shape = shapeOf(sink, `t${TYPES.findIndex((each) => each.type.includes('latin1'))}`, 'update', 1, ['id', 'v']);
    const [rows] = await reader.query(
      'SELECT seq, CONVERT(CONVERT(CHAR(seq USING ucs2) USING latin1) USING utf8mb4) COLLATE utf8mb4_bin = CONVERT(CHAR(seq USING ucs2) USING utf8mb4) AS same FROM seq_1_to_65535 WHERE seq < 55296 OR seq > 57343',
    );
    const server = (rows as { seq: string; same: string | number }[]).filter((row) => Number(row.same) === 1).map((row) => Number(row.seq));
    const ours = Array.from({ length: 65_535 }, (_, i) => i + 1).filter(
      (code) => (code < 0xd800 || code > 0xdfff) && shape.check([1, String.fromCharCode(code)]) === undefined,
    );
    expect(ours).toEqual(server);
  });

  test('every collation that lets plain keys through keeps their characters apart', async () => {
    const [rows] = await reader.query(
      "SELECT COLLATION_NAME AS name, CHARACTER_SET_NAME AS charset FROM information_schema.COLLATIONS WHERE CHARACTER_SET_NAME IN ('utf8mb4','utf8mb3','latin1','ascii','latin2','cp1250')",
    );
    const collations = rows as { name: string; charset: string }[];
    const tables = collations.map(
      ({ name, charset }, i) => `CREATE TABLE c${i} (id VARCHAR(20) CHARACTER SET ${charset} COLLATE ${name} PRIMARY KEY)`,
    );
    await server.query(tables, 'types');
    await sink.refreshSchema();
    const plain = Array.from('0123456789abcdefghijklmnopqrstuvwxyz._:-');
    const allowing: string[] = [];
    for (const [i, { name }] of collations.entries()) {
      const shape = shapeOf(sink, `c${i}`, 'insert', 1, ['id']);
      if (plain.some((character) => shape.check([character]) !== undefined)) continue;
      allowing.push(name);
      // Twice each, and in pairs: a contraction would make two letters one.
      const keys = [...plain, ...plain.flatMap((a) => plain.map((b) => a + b))];
      await writeAll(sink, [{ shape, rows: keys.map((key) => [key]) }]);
    }
    expect(allowing).toEqual(
      expect.arrayContaining(['utf8mb4_general_ci', 'utf8mb4_unicode_ci', 'utf8mb4_bin', 'latin1_swedish_ci', 'ascii_bin']),
    );
    expect(allowing).not.toContain('utf8mb4_lithuanian_ci');
  });
});
