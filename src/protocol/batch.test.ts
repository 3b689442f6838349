import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { arbitraryBatch } from '../../test/support/arbitrary-values.ts';
import { type Batch, changeCount, type Op, type Row } from '../core/change.ts';
import { BatchBuilder, decodeBatch, encodeBatch } from './batch.ts';
import { BatchScan } from './scan.ts';

describe('a batch', () => {
  test('comes back as it was encoded, and the scan counts it', () => {
    const scan = new BatchScan();
    fc.assert(
      fc.property(arbitraryBatch, (batch) => {
        const payload = encodeBatch(batch);
        expect(scan.scan(payload), scan.reason).toBe(true);
        expect(scan.reason).toBe('');
        expect(scan.changes).toBe(changeCount(batch));
        expect(scan.tables()).toEqual([...new Set(batch.groups.map((group) => group.table))]);
        expect(decodeBatch(payload)).toEqual(batch);
      }),
      { numRuns: 1000 },
    );
  });

  test('that is malformed is refused with the reason', () => {
    expect(() => decodeBatch(Buffer.from('81a16390', 'hex'))).toThrow(
      expect.objectContaining({ code: 'malformed_payload', message: expect.stringContaining('no changes') }),
    );
  });

  test('takes its keys in any order', () => {
    const groups = Buffer.from('a1639195a174000191a26964919101', 'hex');
    const payload = Buffer.concat([Buffer.from([0x82]), groups, Buffer.from('a17405', 'hex')]);
    expect(decodeBatch(payload)).toEqual({ timeMs: 5, groups: [{ table: 't', op: 'upsert', keyCount: 1, columns: ['id'], rows: [[1]] }] });
  });
});

describe('the batch builder', () => {
  test('puts neighbours of the same shape into one group', () => {
    const builder = new BatchBuilder();
    const add = (table: string, op: Op, columns: string[], row: Row) => builder.add(table, op, 1, columns, row);
    add('a', 'upsert', ['id', 'x'], [1, 1]);
    add('a', 'upsert', ['id', 'x'], [2, 2]);
    add('a', 'upsert', ['id', 'y'], [3, 3]);
    add('a', 'insert', ['id', 'y'], [4, 4]);
    add('b', 'insert', ['id', 'y'], [5, 5]);
    add('a', 'upsert', ['id', 'x'], [6, 6]);
    expect(builder.count).toBe(6);
    const { groups } = decodeBatch(builder.finish());
    expect(groups.map((group) => [group.table, group.op, group.columns, group.rows.length])).toEqual([
      ['a', 'upsert', ['id', 'x'], 2],
      ['a', 'upsert', ['id', 'y'], 1],
      ['a', 'insert', ['id', 'y'], 1],
      ['b', 'insert', ['id', 'y'], 1],
      ['a', 'upsert', ['id', 'x'], 1],
    ]);
  });

  test('knows at any time how long the payload would be', () => {
    const builder = new BatchBuilder();
    expect(builder.byteLength).toBe(0);
    for (let count = 1; count < 40; count++) {
      for (let i = 0; i < count; i++) builder.add(`t${i}`, 'upsert', 1, ['id', 'x'], [i, 'x'.repeat(i)]);
      const announced = builder.byteLength;
      expect(builder.finish().length).toBe(announced);
      expect(builder.byteLength).toBe(0);
    }
  });

  test('begins another group after 65,535 rows', () => {
    const builder = new BatchBuilder();
    const columns = ['id'];
    for (let i = 0; i < 65_536; i++) builder.add('t', 'upsert', 1, columns, [i]);
    const { groups } = decodeBatch(builder.finish());
    expect(groups.map((group) => group.rows.length)).toEqual([65_535, 1]);
    expect(groups[1]?.rows).toEqual([[65_535]]);
  });

  test('is as it was after a change that it refused', () => {
    const builder = new BatchBuilder();
    builder.add('t', 'upsert', 1, ['id', 'x'], [1, 'one']);
    const before = builder.byteLength;
    expect(() => builder.add('t', 'upsert', 1, ['id', 'x'], [2, NaN])).toThrow('column "x" of table "t": NaN cannot be sent');
    expect(() => builder.add('u', 'upsert', 1, ['id', 'x'], [2, '\ud800'])).toThrow('column "x" of table "u"');
    expect(builder.byteLength).toBe(before);
    expect(builder.count).toBe(1);
    builder.add('t', 'upsert', 1, ['id', 'x'], [3, 'three']);
    expect(decodeBatch(builder.finish()).groups).toEqual([
      {
        table: 't',
        op: 'upsert',
        keyCount: 1,
        columns: ['id', 'x'],
        rows: [
          [1, 'one'],
          [3, 'three'],
        ],
      },
    ]);
  });

  test('does not keep the caller’s array of columns', () => {
    const builder = new BatchBuilder();
    const columns = ['id', 'x'];
    builder.add('t', 'upsert', 1, columns, [1, 1]);
    columns[1] = 'y';
    builder.add('t', 'upsert', 1, columns, [2, 2]);
    expect(decodeBatch(builder.finish()).groups.map((group) => group.columns)).toEqual([
      ['id', 'x'],
      ['id', 'y'],
    ]);
  });

  test.each<[string, Parameters<BatchBuilder['add']>, RegExp]>([
    ['a row that is too short', ['t', 'upsert', 1, ['id', 'x'], [1]], /1 values for 2 columns/],
    ['a table without a name', ['', 'upsert', 1, ['id'], [1]], /0 bytes/],
    ['a name of 257 bytes', ['t'.repeat(257), 'upsert', 1, ['id'], [1]], /257 bytes/],
    ['a name with a lone surrogate', ['\ud800', 'upsert', 1, ['id'], [1]], /surrogate/],
    ['no columns', ['t', 'upsert', 1, [], []], /0 columns/],
    ['4,097 columns', ['t', 'upsert', 1, many(4097), many(4097)], /4097 columns/],
    ['a column that is named twice', ['t', 'upsert', 1, ['id', 'id'], [1, 1]], /twice/],
    ['an unknown operation', ['t', 'truncate' as Op, 1, ['id'], [1]], /truncate/],
    ['no key', ['t', 'upsert', 0, ['id'], [1]], /key of 0/],
    ['a key beyond the columns', ['t', 'upsert', 2, ['id'], [1]], /key of 2/],
    ['a delete with more than its key', ['t', 'delete', 1, ['id', 'x'], [1, 1]], /delete/],
    ['an update of nothing', ['t', 'update', 1, ['id'], [1]], /update/],
    ['12 levels in a value', ['t', 'upsert', 1, ['id', 'x'], [1, JSON.parse('['.repeat(12) + ']'.repeat(12))]], /nest/],
  ])('refuses %s', (_, change, message) => {
    const builder = new BatchBuilder();
    expect(() => builder.add(...change)).toThrow(TypeError);
    expect(() => builder.add(...change)).toThrow(message);
    expect(builder.count).toBe(0);
    expect(() => builder.finish()).toThrow('at least one change');
  });

  test('a value may nest 11 deep', () => {
    const builder = new BatchBuilder();
    builder.add('t', 'upsert', 1, ['id', 'x'], [1, JSON.parse('['.repeat(11) + ']'.repeat(11))]);
    expect(new BatchScan().scan(builder.finish())).toBe(true);
  });

  test('writes the time and the origin that finish is given', () => {
    const builder = new BatchBuilder();
    builder.add('t', 'delete', 1, ['id'], [1]);
    expect(() => builder.finish({ timeMs: -1 })).toThrow('-1 is not a time');
    expect(() => builder.finish({ origin: NaN })).toThrow('NaN');
    const expected: Batch = { timeMs: 5, origin: null, groups: [{ table: 't', op: 'delete', keyCount: 1, columns: ['id'], rows: [[1]] }] };
    expect(decodeBatch(builder.finish({ timeMs: 5, origin: null }))).toEqual(expected);
  });
});

function many(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `c${i}`);
}
