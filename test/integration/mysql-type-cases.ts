import fc from 'fast-check';
import { Timestamp, type Value } from '../../src/core/change.ts';

/** What is sent, and what another client then reads; one item when both are the same. */
export type Case = readonly [sent: Value, read?: unknown];

export interface TypeCase {
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
const unicode = (maxLength: number) => fc.string({ unit: 'grapheme', maxLength }).filter((value) => Array.from(value).length <= maxLength);

export const TYPES: readonly TypeCase[] = [
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

export const KEYS: readonly { readonly type: string; readonly keys: readonly Value[] }[] = [
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
