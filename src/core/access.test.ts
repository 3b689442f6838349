import { describe, expect, test } from 'vitest';
import { Access, decodeAccess, encodeAccess, type Rule } from './access.ts';
import { OPS, type Op } from './change.ts';

function may(rules: readonly Rule[], table: string, op: Op, columns: readonly string[] = ['id'], keyCount = 1): boolean {
  return new Access('shop', rules).faultOf(table, op, keyCount, columns) === undefined;
}

describe('rules', () => {
  const rules: Rule[] = [
    { tables: ['orders', 'stock_*'], operations: ['insert', 'update'] },
    { tables: ['customers'], operations: ['update'], columns: ['name', 'mail'] },
    { tables: ['customers'], operations: ['update', 'delete'], columns: ['phone'] },
  ];

  test.each<[string, Op, boolean]>([
    ['orders', 'insert', true],
    ['orders', 'update', true],
    ['orders', 'upsert', false],
    ['orders', 'delete', false],
    ['stock_', 'insert', true],
    ['stock_berlin', 'insert', true],
    ['stock', 'insert', false],
    ['Orders', 'insert', false],
    ['orders2', 'insert', false],
    ['', 'insert', false],
    ['__proto__', 'insert', false],
  ])('of table %s, %s: %s', (table, op, allowed) => {
    expect(may(rules, table, op, ['id', 'anything'])).toBe(allowed);
  });

  test('a star alone stands for every table, and one in the middle for itself', () => {
    for (const op of OPS) expect(may([{ tables: ['*'], operations: OPS }], 'anything', op)).toBe(true);
    expect(may([{ tables: ['a*b'], operations: OPS }], 'axb', 'upsert')).toBe(false);
  });

  test('columns of several rules add up, and one without columns allows all', () => {
    expect(may(rules, 'customers', 'update', ['id', 'name', 'mail', 'phone'])).toBe(true);
    expect(may(rules, 'customers', 'update', ['id', 'name', 'credit'])).toBe(false);
    expect(may([...rules, { tables: ['cust*'], operations: ['update'] }], 'customers', 'update', ['id', 'credit'])).toBe(true);
  });

  test('key columns are free, and a delete names nothing else', () => {
    expect(may(rules, 'customers', 'update', ['shop', 'id', 'name'], 2)).toBe(true);
    expect(may(rules, 'customers', 'delete', ['shop', 'id'], 2)).toBe(true);
    expect(may([{ tables: ['t'], operations: ['upsert'], columns: [] }], 't', 'upsert', ['id'])).toBe(true);
    expect(may([{ tables: ['t'], operations: ['upsert'], columns: [] }], 't', 'upsert', ['id', 'name'])).toBe(false);
  });

  test('none at all allow nothing', () => {
    expect(may([], 'orders', 'delete')).toBe(false);
    expect(new Access('shop', []).includes('orders')).toBe(false);
  });

  test('say what is not allowed, and the same whether the table exists', () => {
    const access = new Access('shop', rules);
    expect(access.faultOf('orders', 'delete', 1, ['id'])).toMatchObject({
      code: 'not_allowed',
      message: expect.stringContaining('producer shop may not delete table "orders"'),
    });
    expect(access.faultOf('customers', 'update', 1, ['id', 'credit'])?.message).toContain('column "credit" of table "customers"');
  });

  test('whoever names thousands of tables changes nothing for the others', () => {
    const access = new Access('shop', rules);
    for (let i = 0; i < 5_000; i++) expect(access.grant(`no_such_${i}`, 'insert')).toBe('nothing');
    expect(access.grant('orders', 'insert')).toBe('everything');
    expect(access.includes('customers')).toBe(true);
  });
});

describe('as text', () => {
  test('nothing when nobody has rules, and then everybody may do everything', () => {
    expect(encodeAccess([{ name: 'shop' }, { name: 'erp', rules: undefined }])).toBe('');
    expect(decodeAccess('').of('anybody')).toBeUndefined();
  });

  test('says the same when it is read, and lets nobody do anything who is not in it', () => {
    const list = decodeAccess(encodeAccess([{ name: 'shop', rules: [{ tables: ['a'], operations: ['insert'] }] }, { name: 'erp' }]));
    expect(list.of('shop')?.grant('a', 'insert')).toBe('everything');
    expect(list.of('shop')?.grant('a', 'delete')).toBe('nothing');
    expect(list.of('erp')).toBeUndefined();
    expect(list.of('gone')?.grant('a', 'insert')).toBe('nothing');
  });
});
