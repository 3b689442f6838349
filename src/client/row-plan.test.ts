import { describe, expect, test } from 'vitest';
import { Timestamp } from '../core/change.ts';
import { partitionOf } from '../core/partition.ts';
import { RowPlan } from './row-plan.ts';
import type { ServerFacts } from './server-facts.ts';
import { TableSource } from './table.ts';

const plan = new RowPlan('cities', ['country', 'id'], undefined, 16);

describe('columns', () => {
  test('the key comes first, then the others as the table first saw them, whatever the order in the row', () => {
    const fresh = new RowPlan('t', ['id'], undefined, 1);
    const first = fresh.prepare('upsert', { name: 'a', id: 1, size: 2 });
    expect(first).toMatchObject({ columns: ['id', 'name', 'size'], values: [1, 'a', 2], keyCount: 1 });
    const second = fresh.prepare('upsert', { size: 3, id: 2, name: 'b' });
    expect(second.values).toEqual([2, 'b', 3]);
    // The same list, so that both rows share a group.
    expect(second.columns).toBe(first.columns);
    expect(fresh.prepare('upsert', { colour: 'red', id: 3, size: 1 }).columns).toEqual(['id', 'size', 'colour']);
  });

  test('a name that no column can have is refused', () => {
    const fresh = new RowPlan('t', ['id'], undefined, 16);
    expect(() => fresh.prepare('upsert', { id: 1, ['x'.repeat(257)]: 1 })).toThrow(/column "x{100}…" with a name of more than 256 bytes/);
  });

  test('of ever new columns only so many are kept in the order in which they came', () => {
    const fresh = new RowPlan('t', ['id'], undefined, 16);
    fresh.prepare('upsert', { id: 1, z: 1, a: 1 });
    expect(fresh.prepare('upsert', { id: 1, a: 1, z: 1 }).columns).toEqual(['id', 'z', 'a']);
    for (let i = 0; i < 10; i++)
      fresh.prepare('upsert', { id: 1, ...Object.fromEntries(Array.from({ length: 1_000 }, (_, j) => [`c${i}_${j}`, 1])) });
    expect(fresh.prepare('upsert', { id: 1, a: 1, z: 1, y: 1 }).columns).toEqual(['id', 'a', 'z', 'y']);
  });

  test('a delete takes the key only', () => {
    expect(plan.prepare('delete', { id: 5, country: 'NO', name: 'ignored' })).toMatchObject({
      columns: ['country', 'id'],
      values: ['NO', 5],
    });
  });

  test('a row without a column of the key is refused', () => {
    expect(() => plan.prepare('upsert', { id: 5 })).toThrow('row of table "cities" has no column "country", which is part of the key');
    expect(() => plan.prepare('delete', { country: 'NO', id: undefined })).toThrow(/no column "id"/);
  });

  test('an update that changes nothing is refused', () => {
    expect(() => plan.prepare('update', { country: 'NO', id: 5 })).toThrow(/names no column besides its key/);
  });
});

describe('partitions', () => {
  test('come from the key', () => {
    expect(plan.prepare('upsert', { id: 5, country: 'NO' }).partition).toBe(partitionOf('cities', ['NO', 5], 16));
  });

  test('come from partitionBy where the server has one, for every operation', () => {
    const lines = new RowPlan('lines', ['order_id', 'line'], { group: 'order', columns: ['order_id'] }, 16);
    const expected = partitionOf('order', [7], 16);
    for (const op of ['upsert', 'insert', 'update', 'delete'] as const) {
      expect(lines.prepare(op, { order_id: 7, line: 1, sku: 'a' }).partition).toBe(expected);
    }
    const byShop = new RowPlan('lines', ['line'], { group: 'shop', columns: ['shop'] }, 16);
    expect(() => byShop.prepare('delete', { line: 1 })).toThrow(/no column "shop", which is part of partitionBy/);
  });

  test.each<[string, unknown]>([
    ['null', null],
    ['a fraction', 1.5],
    ['an array', [1]],
  ])('%s cannot be a key, and the error names the column', (_, value) => {
    expect(() => plan.prepare('upsert', { country: 'NO', id: value })).toThrow(/column "id" of table "cities"/);
  });
});

describe('values', () => {
  const valueOf = (value: unknown) => new RowPlan('t', ['id'], undefined, 1).prepare('upsert', { id: 1, v: value }).values[1];

  test('go through as they are, dates as timestamps', () => {
    const bytes = Uint8Array.of(1, 2);
    const time = new Timestamp(5, 6);
    for (const value of [null, true, 1.5, -3, 2n ** 63n, 'text', bytes, time]) expect(valueOf(value)).toBe(value);
    expect(valueOf(new Date(1500))).toEqual(new Timestamp(1, 500_000_000));
  });

  test('arrays and objects become what JSON would make of them, with dates as text and integers whole', () => {
    expect(valueOf({ a: [1, new Date(0), { b: 2n ** 60n }], c: null })).toEqual(
      Object.assign(Object.create(null) as object, {
        a: [1, '1970-01-01T00:00:00.000Z', Object.assign(Object.create(null) as object, { b: 2n ** 60n })],
        c: null,
      }),
    );
    expect(valueOf({ toJSON: () => '12.50' })).toBe('12.50');
  });

  test('a copy is taken of arrays and objects', () => {
    const list = [1, 2];
    const sent = valueOf(list);
    list[0] = 9;
    expect(sent).toEqual([1, 2]);
  });

  const cycle: unknown[] = [];
  cycle.push(cycle);
  test.each<[string, unknown, RegExp]>([
    ['an invalid date', new Date(Number.NaN), /column "v" of table "t": an invalid date/],
    ['undefined inside an object', { a: { b: undefined } }, /column "v" of table "t": undefined at a\.b cannot be sent/],
    ['NaN inside an array', [1, [Number.NaN]], /NaN at \[1\]\[0\]/],
    ['a function inside an object', { f: () => {} }, /function at f/],
    ['a map', new Map(), /a Map cannot be sent/],
    ['bytes inside an object', { raw: Uint8Array.of(1) }, /bytes at raw/],
    ['a list that holds itself', cycle, /nest too deep/],
  ])('%s is refused', (_, value, message) => {
    expect(() => valueOf(value)).toThrow(message);
  });
});

describe('tables', () => {
  const facts: ServerFacts = {
    producer: 'shop',
    partitions: 16,
    maxFrameBytes: 1 << 20,
    tables: new Map([
      ['cities', { key: ['id'] }],
      ['lines', { key: ['order_id', 'line'], partitionBy: { group: 'order', columns: ['order_id'] } }],
    ]),
  };

  test('take their key from the server, or from the program', () => {
    expect(new TableSource('cities', {}).prepare(facts, 'upsert', { id: 1 }).columns).toEqual(['id']);
    expect(new TableSource('towns', { key: ['code'] }).prepare(facts, 'delete', 'OSL').values).toEqual(['OSL']);
    expect(() => new TableSource('towns', {}).prepare(facts, 'upsert', { id: 1 })).toThrow(
      /table "towns" is not known to the server; name its key/,
    );
  });

  test('follow what the server says next', () => {
    const source = new TableSource('towns', {});
    expect(() => source.prepare(facts, 'upsert', { id: 1 })).toThrow(TypeError);
    const grown = { ...facts, tables: new Map([['towns', { key: ['id'] }]]) };
    expect(source.prepare(grown, 'upsert', { id: 1 }).columns).toEqual(['id']);
  });

  test('delete by the value of a key of one column only', () => {
    expect(new TableSource('cities', {}).prepare(facts, 'delete', 5n).values).toEqual([5n]);
    expect(() => new TableSource('lines', {}).prepare(facts, 'delete', 5)).toThrow(/has 2 columns \(order_id, line\)/);
    expect(() => new TableSource('cities', {}).prepare(facts, 'upsert', 5)).toThrow(/upsert of table "cities" needs a row/);
  });

  test('must agree with the server on partitionBy', () => {
    const agreeing = new TableSource('lines', { partitionBy: { group: 'order', columns: ['order_id'] } });
    expect(agreeing.prepare(facts, 'delete', { order_id: 1, line: 1 }).keyCount).toBe(2);
    const other = new TableSource('cities', { partitionBy: { group: 'land', columns: ['country'] } });
    expect(() => other.prepare(facts, 'upsert', { id: 1 })).toThrow(/partitioned by its key on the server and by land\(country\) here/);
  });

  test('cannot have a key that names a column twice, or none', () => {
    expect(() => new TableSource('cities', { key: ['id', 'id'] })).toThrow(TypeError);
    expect(() => new TableSource('cities', { key: [] })).toThrow(TypeError);
    expect(() => new TableSource('', {})).toThrow(TypeError);
  });
});
