import { expect, test } from 'vitest';
import { exactNumber } from './exact-json.ts';

test.each([
  ['9007199254740991', 9007199254740991],
  ['9007199254740993', 9007199254740993n],
  ['-9223372036854775808', -(2n ** 63n)],
  ['18446744073709551615', 2n ** 64n - 1n],
  ['18446744073709551616', '18446744073709551616'],
  ['0.1', 0.1],
  ['1234567890.12345678', '1234567890.12345678'],
])('%s', (source, value) => {
  expect(exactNumber(source)).toBe(value);
});

test('an integer of millions of digits is text, and not made a number first', () => {
  const source = '7'.repeat(4_000_000);
  expect(exactNumber(source)).toBe(source);
});
