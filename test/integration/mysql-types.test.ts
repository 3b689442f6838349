import fc from 'fast-check';
import type { Connection } from 'mysql2/promise';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Timestamp, type Value } from '../../src/core/change.ts';
import type { Sink } from '../../src/sinks/sink.ts';
import { mariadbAvailable, startMariadb, type MariadbServer } from '../support/mariadb-server.ts';
import { group, shapeOf, sinkOn, writeAll } from './mysql-harness.ts';

/** What is sent, and what another client then reads; one item when both are the same. */
type Case = readonly [sent: Value, read?: unknown];

interface TypeCase {
  readonly type: string;
  readonly kept: readonly Case[];
  readonly refused?: readonly (readonly [value: Value, code: string])[];
  readonly random?: fc.Arbitrary<Value>;
  readonly readAs?: (value: Value) => unknown;
}

const big = (text: string) => BigInt(text);
const bytes = (...values: number[]) => Buffer.from(values);
const text = (value: Value) => String(value);
const signed = (bits: bigint) => fc.bigInt({ min: -(2n ** (bits - 1n)), max: 2n ** (bits - 1n) - 1n }).map(plainInteger);
const unsigned = (bits: bigint) => fc.bigInt({ min: 0n, max: 2n ** bits - 1n }).map(plainInteger);
const day = fc
  .date({ min: new Date('0101-01-01T00:00:00Z'), max: new Date('9999-12-31T00:00:00Z'), noInvalidDate: true })
  .map((date) => date.toISOString().slice(0, 10));
const clockTime = fc.tuple(fc.nat(23), fc.nat(59), fc.nat(59)).map((parts) => parts.map(two).join(':'));
const micros = fc.nat(999_999).map((digits) => String(digits).padStart(6, '0'));
const unicode = (maxLength: number) => fc.string({ unit: 'grapheme', maxLength }).filter((value) => [...value].length <= maxLength);

const TYPES: readonly TypeCase[] = [
  {
    type: 'TINYINT',
    kept: [[-128], [127], [0], [true, 1], [false, 0], ['-7', -7]],
    refused: [
      [128, 'out_of_range'],
      [-129, 'out_of_range'],
      [1.5, 'loses_precision'],
      ['1x', 'wrong_type'],
      [[1], 'wrong_type'],
    ],
    random: signed(8n),
    readAs: Number,
  },
  {
    type: 'TINYINT UNSIGNED',
    kept: [[255], [0]],
    refused: [
      [256, 'out_of_range'],
      [-1, 'out_of_range'],
    ],
    random: unsigned(8n),
    readAs: Number,
  },
  { type: 'SMALLINT', kept: [[-32768], [32767]], refused: [[32768, 'out_of_range']], random: signed(16n), readAs: Number },
  { type: 'MEDIUMINT', kept: [[-8388608], [8388607]], refused: [[8388608, 'out_of_range']], random: signed(24n), readAs: Number },
  {
    type: 'INT',
    kept: [[-2147483648], [2147483647], [-0, 0]],
    refused: [[2147483648, 'out_of_range']],
    random: signed(32n),
    readAs: Number,
  },
  { type: 'INT UNSIGNED', kept: [[4294967295]], refused: [[-1, 'out_of_range']], random: unsigned(32n), readAs: Number },
  {
    type: 'BIGINT',
    kept: [
      [big('9223372036854775807'), '9223372036854775807'],
      [big('-9223372036854775808'), '-9223372036854775808'],
      [9007199254740991, '9007199254740991'],
      ['9007199254740993', '9007199254740993'],
    ],
    refused: [
      [big('9223372036854775808'), 'out_of_range'],
      [2 ** 60, 'loses_precision'],
      ['007', 'wrong_type'],
    ],
    random: signed(64n),
    readAs: text,
  },
  {
    type: 'BIGINT UNSIGNED',
    kept: [[big('18446744073709551615'), '18446744073709551615']],
    refused: [
      [big('18446744073709551616'), 'out_of_range'],
      [-1, 'out_of_range'],
    ],
    random: unsigned(64n),
    readAs: text,
  },
  {
    type: 'DECIMAL(10,2)',
    kept: [
      ['12.50'],
      ['-99999999.99'],
      ['0.1', '0.10'],
      ['+7', '7.00'],
      ['.5', '0.50'],
      [12.5, '12.50'],
      [3, '3.00'],
      ['-0', '0.00'],
      ['1.10000', '1.10'],
      ['000000000000000000000000000000000000000000000000000000000000000000000000000001.5', '1.50'],
    ],
    refused: [
      ['1.234', 'loses_precision'],
      ['123456789.00', 'out_of_range'],
      ['abc', 'wrong_type'],
      ['1e3', 'wrong_type'],
      ['', 'wrong_type'],
      ['.', 'wrong_type'],
      [0.1 + 0.2, 'loses_precision'],
      [true, 'wrong_type'],
    ],
    random: fc.bigInt({ min: -(10n ** 10n) + 1n, max: 10n ** 10n - 1n }).map((cents) => decimal(cents, 2)),
    readAs: text,
  },
  {
    type: 'DECIMAL(65,30)',
    kept: [
      [`${'9'.repeat(35)}.${'9'.repeat(30)}`],
      [`-0.${'0'.repeat(29)}1`],
      [1e-7, `0.0000001${'0'.repeat(23)}`],
      [1e21, `1${'0'.repeat(21)}.${'0'.repeat(30)}`],
    ],
    random: fc.bigInt({ min: -(10n ** 65n) + 1n, max: 10n ** 65n - 1n }).map((units) => decimal(units, 30)),
    readAs: text,
  },
  {
    type: 'DECIMAL(5,0) UNSIGNED',
    kept: [
      ['0', '0'],
      ['-0.0', '0'],
      [99999, '99999'],
    ],
    refused: [
      ['-1', 'out_of_range'],
      ['1.5', 'loses_precision'],
    ],
  },
  {
    type: 'DOUBLE',
    kept: [
      [0.1],
      [1.7976931348623157e308],
      [5e-324],
      [-2.2250738585072014e-308],
      [123456789.12345679],
      [7, 7],
      ['1.5', 1.5],
      ['1e3', 1000],
      [9007199254740992n, 9007199254740992],
    ],
    refused: [
      [9007199254740993n, 'loses_precision'],
      ['x', 'wrong_type'],
      ['1e999', 'out_of_range'],
      [true, 'wrong_type'],
    ],
    random: fc.double({ noNaN: true, noDefaultInfinity: true }).filter((value) => !Object.is(value, -0)),
  },
  {
    type: 'FLOAT',
    kept: [[1.5], [-0.25], [65536]],
    refused: [[3.5e38, 'out_of_range']],
    random: fc
      .integer({ min: -999_999, max: 999_999 })
      .map((n) => n / 64)
      .filter((n) => Number(n.toPrecision(6)) === n),
  },
  {
    type: 'BIT(1)',
    kept: [[1, bytes(1)], [0, bytes(0)], [true, bytes(1)], [bytes(1)]],
    refused: [
      [2, 'out_of_range'],
      ['1', 'wrong_type'],
      [bytes(2), 'out_of_range'],
    ],
  },
  {
    type: 'BIT(20)',
    kept: [
      [1048575, bytes(0x0f, 0xff, 0xff)],
      [bytes(1, 2), bytes(0, 1, 2)],
      [bytes(0, 0, 0, 1), bytes(0, 0, 1)],
    ],
    refused: [
      [-1, 'out_of_range'],
      [1048576, 'out_of_range'],
      [1.5, 'wrong_type'],
    ],
  },
  {
    type: 'BIT(64)',
    kept: [[2n ** 64n - 1n, bytes(255, 255, 255, 255, 255, 255, 255, 255)]],
    refused: [
      [2n ** 64n, 'out_of_range'],
      [Buffer.alloc(9), 'out_of_range'],
    ],
    random: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    readAs: (value) => Buffer.from((value as bigint).toString(16).padStart(16, '0'), 'hex'),
  },
  {
    type: 'YEAR',
    kept: [[1901], [2155], ['2026', 2026]],
    refused: [
      [0, 'out_of_range'],
      [26, 'out_of_range'],
      ['26', 'wrong_type'],
      [2156, 'out_of_range'],
    ],
  },
  {
    type: 'DATE',
    kept: [['2026-11-21'], ['0001-01-01'], ['9999-12-31'], ['2024-02-29'], [new Timestamp(86_400, 0), '1970-01-02']],
    refused: [
      ['2026-02-29', 'out_of_range'],
      ['0000-00-00', 'out_of_range'],
      ['2026-00-10', 'out_of_range'],
      ['2026-11-21 00:00:00', 'wrong_type'],
      [new Timestamp(1, 0), 'loses_precision'],
      [20261121, 'wrong_type'],
    ],
    random: day,
  },
  {
    type: 'DATETIME',
    kept: [
      ['2026-11-21 09:30:00'],
      ['2026-11-21T09:30:00', '2026-11-21 09:30:00'],
      ['2026-11-21 09:30:00.000', '2026-11-21 09:30:00'],
      ['2026-11-21T10:30:00+01:00', '2026-11-21 09:30:00'],
      ['2026-11-21T09:30:00Z', '2026-11-21 09:30:00'],
      [new Timestamp(0, 0), '1970-01-01 00:00:00'],
    ],
    refused: [
      ['2026-11-21 09:30:00.5', 'loses_precision'],
      ['2026-11-21 24:00:00', 'out_of_range'],
      ['2026-11-21', 'wrong_type'],
      ['0000-00-00 00:00:00', 'out_of_range'],
      ['9999-12-31 23:59:59-01:00', 'out_of_range'],
      [new Timestamp(0, 1), 'loses_precision'],
      [1, 'wrong_type'],
    ],
  },
  {
    type: 'DATETIME(6)',
    kept: [
      ['2026-11-21 09:30:00.123456'],
      ['2026-11-21 09:30:00.1', '2026-11-21 09:30:00.100000'],
      ['2026-11-21 09:30:00', '2026-11-21 09:30:00.000000'],
      ['2026-01-01T00:30:00.25+01:00', '2025-12-31 23:30:00.250000'],
      [new Timestamp(-1, 999_999_000), '1969-12-31 23:59:59.999999'],
      ['2026-11-21 09:30:00+01:00', '2026-11-21 08:30:00.000000'],
    ],
    refused: [
      ['2026-11-21 09:30:00.1234567', 'loses_precision'],
      ['2026-11-21 09:30:60', 'out_of_range'],
    ],
    random: fc.tuple(day, clockTime, micros).map(([d, t, f]) => `${d} ${t}.${f}`),
  },
  {
    type: 'DATETIME(5)',
    kept: [
      ['2026-11-21 09:30:00+01:00', '2026-11-21 08:30:00.00000'],
      ['2026-11-21 09:30:00.12345'],
      ['2026-11-21 09:30:00.123Z', '2026-11-21 09:30:00.12300'],
      ['2026-11-21 09:30:00.1234Z', '2026-11-21 09:30:00.12340'],
    ],
  },
  {
    type: 'TIMESTAMP(6) NULL',
    kept: [
      ['1970-01-01 00:00:01.000000'],
      ['2038-01-19 03:14:07.999999'],
      [new Timestamp(1, 500_000_000), '1970-01-01 00:00:01.500000'],
      ['2026-11-21T10:30:00.000001+01:00', '2026-11-21 09:30:00.000001'],
    ],
    refused: [
      ['1970-01-01 00:00:00', 'out_of_range'],
      ['2038-01-19 03:14:08', 'out_of_range'],
      [new Timestamp(2 ** 31, 0), 'out_of_range'],
    ],
    random: fc
      .tuple(fc.integer({ min: 1, max: 2 ** 31 - 1 }), micros)
      .map(([s, f]) => `${new Date(s * 1000).toISOString().slice(0, 19).replace('T', ' ')}.${f}`),
  },
  { type: 'TIMESTAMP NULL', kept: [['2026-03-29 02:30:00'], ['2026-10-25 02:30:00']] },
  {
    type: 'TIME',
    kept: [['09:30:00'], ['-838:59:59'], ['838:59:59'], ['120:00:00'], ['-00:00:01']],
    refused: [
      ['839:00:00', 'out_of_range'],
      ['09:60:00', 'wrong_type'],
      ['9:30', 'wrong_type'],
      ['09:30:00.5', 'loses_precision'],
    ],
  },
  {
    type: 'TIME(6)',
    kept: [['09:30:00.123456'], ['-100:00:00.000001'], ['09:30:00.5', '09:30:00.500000']],
    random: fc.tuple(clockTime, micros).map(([t, f]) => `${t}.${f}`),
  },
  {
    type: 'CHAR(5)',
    kept: [['abc'], ['🎉🎉🎉🎉🎉'], ['']],
    refused: [
      ['abcdef', 'too_long'],
      ['\ud83c', 'wrong_type'],
      [true, 'wrong_type'],
      [1.5, 'wrong_type'],
      [bytes(1), 'wrong_type'],
    ],
  },
  {
    type: 'VARCHAR(20)',
    kept: [['it\'s \\ "q" \0 \n %`;'], [' spaces '], ['žluťoučký kůň'], ['👩‍👩‍👧‍👦'], [42, '42'], [big('9007199254740993'), '9007199254740993']],
    refused: [
      ['x'.repeat(21), 'too_long'],
      ['🎉'.repeat(21), 'too_long'],
    ],
    random: unicode(20),
  },
  {
    type: 'VARCHAR(20) CHARACTER SET latin1',
    kept: [['caf\u00e9 \u20ac \u0152 \u0081']],
    refused: [
      ['ł', 'wrong_type'],
      ['🎉', 'wrong_type'],
      ['\u0080', 'wrong_type'],
    ],
  },
  { type: 'VARCHAR(20) CHARACTER SET ascii', kept: [['plain']], refused: [['é', 'wrong_type']] },
  { type: 'VARCHAR(20) CHARACTER SET utf8mb3', kept: [['ł ž €']], refused: [['🎉', 'wrong_type']] },
  {
    type: 'TINYTEXT',
    kept: [['x'.repeat(255)], ['ž'.repeat(127)]],
    refused: [
      ['x'.repeat(256), 'too_long'],
      ['ž'.repeat(128), 'too_long'],
    ],
  },
  { type: 'TEXT', kept: [['x'.repeat(65_535)], ['🎉'.repeat(16_383)]], refused: [['🎉'.repeat(16_384), 'too_long']], random: unicode(200) },
  { type: 'LONGTEXT', kept: [['x'.repeat(300_000)], ["'".repeat(100_000)]] },
  {
    type: 'BINARY(4)',
    kept: [[bytes(1, 2, 3, 4)], [bytes(1), bytes(1, 0, 0, 0)]],
    refused: [
      [bytes(1, 2, 3, 4, 5), 'too_long'],
      ['text', 'wrong_type'],
    ],
  },
  {
    type: 'VARBINARY(20)',
    kept: [[bytes()], [bytes(0, 39, 92, 255)], [new Uint8Array([1, 2, 3]).subarray(1), bytes(2, 3)]],
    refused: [[Buffer.alloc(21), 'too_long']],
    random: fc.uint8Array({ maxLength: 20 }).map((value) => Buffer.from(value)),
  },
  { type: 'BLOB', kept: [[Buffer.alloc(65_535, 7)]], refused: [[Buffer.alloc(65_536), 'too_long']] },
  { type: 'LONGBLOB', kept: [[Buffer.alloc(200_000, 0xfe)]] },
  {
    type: 'JSON',
    kept: [
      [[1, 'two', null, [true]], '[1,"two",null,[true]]'],
      [Object.assign(Object.create(null), { a: { b: 9007199254740993n } }), '{"a":{"b":9007199254740993}}'],
      ['{"text": "é"}'],
      ['"quoted"'],
      [5, '5'],
      [true, 'true'],
      [[new Timestamp(0, 1)], '["1970-01-01T00:00:00.000000001Z"]'],
      [["it's \\ \n"], '["it\'s \\\\ \\n"]'],
    ],
    refused: [
      ['plain', 'wrong_type'],
      ['{"a":', 'wrong_type'],
      [[new Timestamp(1e15, 0)], 'out_of_range'],
    ],
    random: fc.json(),
    readAs: text,
  },
  {
    type: "ENUM('small','it''s, big','Ä')",
    kept: [['small'], ["it's, big"], ['Ä']],
    refused: [
      ['SMALL', 'wrong_type'],
      ['', 'wrong_type'],
      [1, 'wrong_type'],
      ['ä', 'wrong_type'],
    ],
  },
  {
    type: "SET('a','b','c d')",
    kept: [['a'], [''], ['a,b'], ['c d,a', 'a,c d']],
    refused: [
      ['a,x', 'wrong_type'],
      ['a,a', 'wrong_type'],
      ['A', 'wrong_type'],
      [3, 'wrong_type'],
    ],
  },
  { type: 'BOOLEAN', kept: [[true, 1], [false, 0], [1]] },
  {
    type: 'UUID',
    kept: [['123e4567-e89b-12d3-a456-426614174000'], ['123E4567-E89B-12D3-A456-426614174000', '123e4567-e89b-12d3-a456-426614174000']],
    refused: [['123e4567', 'wrong_type']],
    random: fc.uuid({ version: [1, 2, 3, 4, 5, 6, 7] }),
  },
  {
    type: 'INET6',
    kept: [['2001:db8::ff00:42:8329'], ['::ffff:1.2.3.4'], ['::1']],
    refused: [
      ['1.2.3', 'wrong_type'],
      ['fe80::1%eth0', 'wrong_type'],
    ],
  },
  {
    type: 'INET4',
    kept: [['127.0.0.1']],
    refused: [
      ['1.2.3.256', 'wrong_type'],
      ['01.2.3.4', 'wrong_type'],
    ],
  },
];

const KEYS: readonly { readonly type: string; readonly keys: readonly Value[] }[] = [
  { type: 'BIGINT', keys: [0, -1, big('9223372036854775807'), 9007199254740991, '9007199254740993'] },
  { type: 'BIGINT UNSIGNED', keys: [0, big('18446744073709551615'), big('18446744073709551614')] },
  { type: 'DECIMAL(20,4)', keys: ['1.0000', '1.0001', '-1234567890123456.7890', '9007199254740993.0000', '9007199254740992.0000'] },
  { type: 'BIT(64)', keys: [0, 1, big('18446744073709551615'), big('18446744073709551614')] },
  { type: 'YEAR', keys: [1901, 2000, 2155] },
  { type: 'DATE', keys: ['2026-11-21', '0101-01-01', '9999-12-31'] },
  { type: 'DATETIME(6)', keys: ['2026-11-21 00:00:00.000000', '2026-11-21 00:00:00.000001', '0101-01-01 00:00:00.000000'] },
  { type: 'TIMESTAMP(3)', keys: ['2026-03-29 02:30:00.000', '2026-03-29 02:30:00.001'] },
  { type: 'TIME(1)', keys: ['00:00:00.0', '-00:00:00.1', '838:00:00.5'] },
  { type: 'CHAR(5) COLLATE utf8mb4_bin', keys: ['a', 'A', 'á', '🎉', ''] },
  { type: 'VARCHAR(20) CHARACTER SET latin1 COLLATE latin1_bin', keys: ['é', 'e', '€', "'"] },
  { type: 'VARCHAR(20) CHARACTER SET utf8mb3 COLLATE utf8mb3_bin', keys: ['ł', 'é', 'a'] },
  { type: "ENUM('é','€') CHARACTER SET latin1", keys: ['é', '€'] },
  { type: 'VARCHAR(20) COLLATE utf8mb4_general_ci', keys: ['a-1', 'a_1', '0'] },
  { type: 'VARCHAR(20) COLLATE utf8mb4_nopad_bin', keys: ['a', 'a ', ' a', "a'\\"] },
  { type: 'BINARY(2)', keys: [bytes(0, 0), bytes(0, 1), bytes(39, 92)] },
  { type: 'VARBINARY(5)', keys: [bytes(), bytes(0), bytes(0, 0)] },
  { type: "ENUM('b','a','c d')", keys: ['b', 'a'] },
  { type: "SET('x','y')", keys: ['', 'x', 'x,y'] },
  { type: 'UUID', keys: ['123e4567-e89b-12d3-a456-426614174000', '123e4567-e89b-12d3-a456-426614174001'] },
  { type: 'INET6', keys: ['::1', '2001:db8::1'] },
  { type: 'INET4', keys: ['127.0.0.1', '0.0.0.0'] },
];

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
    const [read] = await reader.query(`SELECT v FROM t${index} ORDER BY id`);
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
    const server = (rows as { seq: string; same: number }[]).filter((row) => Number(row.same) === 1).map((row) => Number(row.seq));
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
    const plain = [...'0123456789abcdefghijklmnopqrstuvwxyz._:-'];
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

function plainInteger(value: bigint): Value {
  return value >= -9007199254740991n && value <= 9007199254740991n ? Number(value) : value;
}

function two(part: number): string {
  return String(part).padStart(2, '0');
}

function decimal(units: bigint, scale: number): string {
  const digits = String(units < 0n ? -units : units).padStart(scale + 1, '0');
  return `${units < 0n ? '-' : ''}${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
}
