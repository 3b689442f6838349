import { randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { expect, test } from 'vitest';
import { crc32Of } from './crc32.ts';

test('gives what zlib gives, for every length and place, in one piece and in two', () => {
  const bytes = randomBytes(700);
  for (let length = 0; length <= 600; length++) {
    const start = length % 9;
    const end = start + length;
    const expected = crc32(bytes.subarray(start, end));
    expect(crc32Of(bytes, start, end)).toBe(expected);
    const middle = start + Math.floor(length / 3);
    expect(crc32Of(bytes, middle, end, crc32Of(bytes, start, middle))).toBe(expected);
  }
});

test('knows the check value of CRC-32', () => {
  expect(crc32Of(Buffer.from('123456789'), 0, 9)).toBe(0xcbf43926);
});
