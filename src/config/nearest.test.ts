import { describe, expect, test } from 'vitest';
import { editDistance, nearest } from './nearest.ts';

describe('editDistance', () => {
  test.each([
    ['', '', 0],
    ['abc', '', 3],
    ['abc', 'abc', 0],
    ['abc', 'axc', 1],
    ['abc', 'acb', 1],
    ['abc', 'abxc', 1],
    ['kitten', 'sitting', 3],
  ])('of %o and %o is %i', (a, b, distance) => {
    expect(editDistance(a, b)).toBe(distance);
    expect(editDistance(b, a)).toBe(distance);
  });
});

describe('nearest', () => {
  test('finds what was meant', () => {
    expect(nearest('partitons', ['prefix', 'partitions'])).toBe('partitions');
    expect(nearest('max_frame_bytes', ['maxFrameBytes', 'maxBytes'])).toBe('maxFrameBytes');
  });
  test('does not guess wildly', () => {
    expect(nearest('zzz', ['url', 'tls'])).toBeUndefined();
    expect(nearest('a', ['url'])).toBeUndefined();
  });
});
