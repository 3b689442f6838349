import { describe, expect, test } from 'vitest';
import { Timestamp, type Value } from '../../core/change.ts';
import { columnKind, numberText } from './affinity.ts';
import { Column } from './column.ts';

const column = (type: string, more: { strict?: boolean; notNull?: boolean; keyCollation?: string } = {}) =>
  new Column({ name: 'c', type, strict: false, notNull: false, filled: false, generated: false, keyCollation: '', ...more });

describe('the kind of a column', () => {
  test.for([
    ['INTEGER', 'integer'],
    ['unsigned big int', 'integer'],
    ['VARCHAR(20)', 'text'],
    ['TIMESTAMP TEXT', 'text'],
    ['JSON TEXT', 'text'],
    ['', 'any'],
    ['BLOB', 'any'],
    ['DOUBLE PRECISION', 'real'],
    ['DECIMAL(10,2)', 'number'],
    ['BOOLEAN', 'number'],
    ['DATETIME', 'free'],
    ['JSON', 'free'],
    ['STRING', 'free'],
    // SQLite's rules look for words inside the type: this one holds INT.
    ['POINT', 'integer'],
  ])('declared as %s is %s', ([type, kind]) => {
    expect(columnKind(type as string, false)).toBe(kind);
  });

  test('in a STRICT table is what the table allows', () => {
    expect(['INT', 'INTEGER', 'REAL', 'TEXT', 'BLOB', 'ANY'].map((type) => columnKind(type, true))).toEqual([
      'integerOnly',
      'integerOnly',
      'real',
      'text',
      'bytes',
      'any',
    ]);
  });
});

describe('text in a column that prefers numbers', () => {
  test.for([
    ['abc', 'text'],
    ['2026-11-21', 'text'],
    ['0x10', 'text'],
    ['', 'text'],
    ['12', 'same'],
    ['-9223372036854775808', 'same'],
    ['12.5', 'same'],
    ['12.50', 'equal'],
    ['-0', 'equal'],
    ['0.0', 'equal'],
    ['9223372036854775808', 'long'],
    ['1234567890.1234567', 'long'],
    [`0.${'0'.repeat(400)}1`, 'long'],
    ['007', 'odd'],
    ['1e5', 'odd'],
    [' 12', 'odd'],
    ['12\n', 'odd'],
    ['.5', 'odd'],
    ['5.', 'odd'],
    ['+5', 'odd'],
    ['12\0abc', 'odd'],
  ])('%j is %s', ([text, found]) => {
    expect(numberText(text as string)).toBe(found);
  });
});

describe('a value', () => {
  const second = new Timestamp(0, 0);
  test.for<[string, Value, string]>([
    ['INTEGER', 'abc', 'wrong_type'],
    ['INTEGER', '007', 'wrong_type'],
    ['INTEGER', 2n ** 63n, 'out_of_range'],
    ['INTEGER', '9223372036854775808', 'out_of_range'],
    ['INTEGER', new Uint8Array(1), 'wrong_type'],
    ['INTEGER', second, 'wrong_type'],
    ['INTEGER', [1], 'wrong_type'],
    ['REAL', 2n ** 53n + 1n, 'loses_precision'],
    ['REAL', '9007199254740993', 'loses_precision'],
    ['DECIMAL(30,10)', '12345678901234.567', 'loses_precision'],
    ['DECIMAL(10,2)', 'twelve', 'wrong_type'],
    ['DATETIME', '007', 'wrong_type'],
    ['STRING', '1.50', 'wrong_type'],
    ['TEXT', true, 'wrong_type'],
    ['TEXT', new Uint8Array(1), 'wrong_type'],
    ['TEXT', new Timestamp(253_402_300_800, 0), 'out_of_range'],
    ['TEXT', [{ at: new Timestamp(-62_167_219_201, 0) }], 'out_of_range'],
  ])('in a column of type %s that would change on the way is refused', ([type, value, code]) => {
    expect(column(type).problem(value)?.code).toBe(code);
  });

  test('in a column of a STRICT table of another type is refused', () => {
    expect(column('INTEGER', { strict: true }).problem(1.5)?.code).toBe('wrong_type');
    expect(column('INTEGER', { strict: true }).problem(2 ** 63)?.code).toBe('out_of_range');
    expect(column('INTEGER', { strict: true }).problem('1.0')?.code).toBe('wrong_type');
    expect(column('BLOB', { strict: true }).problem('text')?.code).toBe('wrong_type');
    expect(column('BLOB', { strict: true }).problem(1)?.code).toBe('wrong_type');
    expect(column('BLOB', { strict: true }).problem(new Uint8Array(1))).toBeUndefined();
  });

  test('must be there where the column says so', () => {
    expect(column('TEXT', { notNull: true }).problem(null)?.code).toBe('null_not_allowed');
    expect(column('TEXT').problem(null)).toBeUndefined();
  });

  test('refused is explained without being quoted', () => {
    for (const type of ['INTEGER', 'REAL', 'DATETIME']) expect(column(type).problem('007 secret')?.reason ?? '').not.toContain('secret');
  });
});

describe('a key value', () => {
  test.for<[string, Value, string]>([
    ['INTEGER', '012', 'key_not_canonical'],
    ['INTEGER', '12.0', 'key_not_canonical'],
    ['INTEGER', true, 'key_not_canonical'],
    ['INTEGER', 1.5, 'wrong_type'],
    ['DECIMAL', '12.50', 'key_not_canonical'],
    ['TEXT', new Timestamp(0, 0), 'key_not_canonical'],
    ['TIMESTAMP TEXT', '1970-01-01 00:00:00.000000', 'key_not_canonical'],
    ['', [1], 'wrong_type'],
  ])('in a key column of type %s with several spellings is refused', ([type, value, code]) => {
    expect(column(type).keyProblem(value)?.code).toBe(code);
  });

  test('is taken in its one canonical spelling', () => {
    for (const [type, value] of [
      ['INTEGER', 12],
      ['INTEGER', '12'],
      ['DECIMAL', '12.5'],
      ['TEXT', '012'],
      ['TIMESTAMP TEXT', new Timestamp(0, 0)],
      ['BLOB', new Uint8Array(1)],
    ] as const) {
      expect(column(type).problem(value)).toBeUndefined();
      expect(column(type).keyProblem(value)).toBeUndefined();
    }
  });

  test('that a collation takes for others is refused', () => {
    const noCase = column('TEXT', { keyCollation: 'NOCASE' });
    const trimmed = column('TEXT', { keyCollation: 'RTRIM' });
    expect([noCase.keyProblem('Abc')?.code, noCase.keyProblem('a\0b')?.code, noCase.keyProblem('abc Ä')]).toEqual([
      'key_not_canonical',
      'key_not_canonical',
      undefined,
    ]);
    expect([trimmed.keyProblem('a ')?.code, trimmed.keyProblem(' A')]).toEqual(['key_not_canonical', undefined]);
  });

  test('has equal parts exactly for what SQLite takes for the same', () => {
    const part = (type: string, value: Value) => column(type).keyPart(value);
    expect(part('TEXT', 5)).toBe(part('TEXT', '5'));
    expect(part('INTEGER', 5)).toBe(part('INTEGER', '5'));
    expect(part('INTEGER', -0)).toBe(part('INTEGER', 0));
    expect(part('INTEGER', 5n)).toBe(part('INTEGER', 5));
    expect(part('DATE', '2026')).toBe(part('DATE', 2026));
    expect(part('', '5')).not.toBe(part('', 5));
    expect(part('', new Uint8Array([53]))).not.toBe(part('', '5'));
  });
});
