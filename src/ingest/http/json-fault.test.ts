import fc from 'fast-check';
import { expect, test } from 'vitest';
import { jsonFaultAt, lineAt } from './json-fault.ts';

test.each([
  ['', 0],
  ['{', 1],
  ['{"a":1,}', 7],
  ['{"a" 1}', 5],
  ['[1 2]', 3],
  ['[1,]', 3],
  ['{"a":tru}', 5],
  ['{"a":"x\ny"}', 7],
  ['{"a":"\\x"}', 6],
  ['{"a":"x', 7],
  ['01', 1],
  ['1.', 1],
  ['{"a":1} x', 8],
  ["{'a':1}", 1],
  ['[}', 1],
])('%j stops being JSON at %i', (text, offset) => {
  expect(() => JSON.parse(text) as unknown).toThrow(SyntaxError);
  expect(jsonFaultAt(text)).toBe(offset);
});

test('what is JSON as a whole has its fault behind the end, and what is spoilt somewhere has it there or later', () => {
  fc.assert(
    fc.property(fc.json(), fc.nat(), (text, at) => {
      expect(jsonFaultAt(text)).toBe(text.length);
      const spoilt = `${text.slice(0, at % (text.length + 1))}\u0001${text.slice(at % (text.length + 1))}`;
      expect(jsonFaultAt(spoilt)).toBeLessThanOrEqual(at % (text.length + 1));
    }),
  );
});

test('depth and length do not matter', () => {
  expect(jsonFaultAt('['.repeat(200_000))).toBe(200_000);
  expect(jsonFaultAt(`"${'x'.repeat(5_000_000)}`)).toBe(5_000_001);
});

test('lines are counted from 1', () => {
  expect(['', 'a', 'a\nb', 'a\n\nb'].map((text) => lineAt(text, text.length))).toEqual([1, 1, 2, 3]);
});
