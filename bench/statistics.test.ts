import { describe, expect, test } from 'vitest';
import { median, ratiosOf, spreadOf } from './statistics.ts';

describe('statistics', () => {
  test('the median is the middle value, whatever the order', () => {
    expect(median([9, 1, 5])).toBe(5);
    expect(median([10, 9, 100])).toBe(10);
  });

  test('the median of an even number of values is the mean of the two in the middle', () => {
    expect(median([4, 1, 100, 2])).toBe(3);
  });

  test('nothing has no median and no spread', () => {
    expect(() => median([])).toThrow(RangeError);
    expect(() => spreadOf([])).toThrow(RangeError);
  });

  test('a spread keeps the values in their order', () => {
    expect(spreadOf([3, 1, 2])).toEqual({ median: 2, min: 1, max: 3, values: [3, 1, 2] });
  });

  test('a quotient is that of two values of the same pair', () => {
    expect(ratiosOf([10, 30], [20, 10])).toEqual([0.5, 3]);
    expect(() => ratiosOf([1, 2], [1])).toThrow('cannot be paired');
  });
});
