import { expect, test } from 'vitest';
import { parseForm } from './form.ts';

test.each([
  ['', {}],
  ['a=1&b=', { a: '1', b: '' }],
  ['action=create&data[id]=1&data%5Bname%5D=Z%C3%BCrich+%26+Bern', { action: 'create', data: { id: '1', name: 'Zürich & Bern' } }],
  ['key[]=hall&key[]=seat', { key: ['hall', 'seat'] }],
  ['key[0]=hall&key[1]=seat', { key: ['hall', 'seat'] }],
  ['a[1]=x', { a: { 1: 'x' } }],
  ['0[action]=create&0[data][id]=1&1[action]=delete', [{ action: 'create', data: { id: '1' } }, { action: 'delete' }]],
  ['a=1&a=2', { a: '2' }],
  ['a=1&a[b]=2', { a: { b: '2' } }],
  ['[a]=1', { '[a]': '1' }],
])('%s is read as PHP would', (text, value) => {
  expect(parseForm(text)).toEqual(value);
});

test('a name that objects give a meaning to is one like any other', () => {
  const value = parseForm('__proto__[polluted]=1&data[__proto__]=2') as Record<string, Record<string, unknown>>;
  expect(Object.keys(value)).toEqual(['__proto__', 'data']);
  expect(Object.entries(value['data']!)).toEqual([['__proto__', '2']]);
  expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
});

test.each([['a[b=1'], ['a[b]c=1'], [`a${'[b]'.repeat(9)}=1`], ['a&'.repeat(10_001)], [`a${'['.repeat(1_000_000)}=1`]])(
  '%.20s is refused',
  (text) => {
    expect(() => parseForm(text)).toThrow('the form');
  },
);
