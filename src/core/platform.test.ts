import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import * as browser from './platform.browser.ts';
import * as node from './platform.ts';

const TEXT = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({ unit: fc.constantFrom('a', 'é', '€', '😀', '\ud83d', '\ude00', '\ufeff') }),
);

test('both platforms have the same parts', () => {
  expect(Object.keys(browser).sort()).toEqual(Object.keys(node).sort());
});

describe.each([
  ['Node.js', node],
  ['browsers', browser],
])('on %s', (_, platform) => {
  test('text has the length and the bytes of UTF-8, a lone surrogate those of U+FFFD', () => {
    fc.assert(
      fc.property(TEXT, (text) => {
        const expected = new TextEncoder().encode(text);
        expect(platform.utf8Length(text)).toBe(expected.length);
        expect(Uint8Array.from(platform.utf8Bytes(text))).toEqual(expected);
        const target = platform.allocate(expected.length + 2).fill(7);
        platform.writeUtf8(target, text, 1, expected.length);
        expect(Uint8Array.from(target)).toEqual(Uint8Array.of(7, ...expected, 7));
      }),
    );
  });

  test('text is read back from the middle of other bytes, a byte order mark included', () => {
    fc.assert(
      fc.property(TEXT, fc.nat(3), (text, before) => {
        const bytes = Buffer.from(text.toWellFormed());
        const around = Uint8Array.from(Buffer.concat([Buffer.alloc(before, 'b'), bytes, Buffer.from('a')]));
        expect(platform.readUtf8(platform.textSource(around.subarray(before)), 0, bytes.length)).toBe(text.toWellFormed());
        expect(platform.readUtf8(platform.textSource(around), before, before + bytes.length)).toBe(text.toWellFormed());
      }),
    );
  });

  test('memory has the size that was asked for, and is shared with nobody', () => {
    const bytes = platform.allocate(100);
    expect([bytes.length, bytes.byteOffset, bytes.buffer.byteLength]).toEqual([100, 0, 100]);
  });

  test('random bytes fill all of the target', () => {
    const seen = new Set<number>();
    for (let i = 0; i < 200; i++) {
      const target = new Uint8Array(5);
      platform.fillRandom(target);
      target.forEach((byte, at) => byte !== 0 && seen.add(at));
    }
    expect(seen).toEqual(new Set([0, 1, 2, 3, 4]));
  });

  test('what is deferred runs in order, after this turn and its promises', async () => {
    const order: string[] = [];
    const done = new Promise<void>((resolve) => {
      platform.defer(() => order.push('first'));
      platform.defer(() => {
        order.push('second');
        resolve();
      });
    });
    await Promise.resolve().then(() => order.push('promise'));
    order.push('turn');
    await done;
    expect(order).toEqual(['promise', 'turn', 'first', 'second']);
  });
});

test('a native CRC, where there is one, goes on like zlib', () => {
  const bytes = Buffer.alloc(1000, 'crc');
  expect(browser.nativeCrc32).toBeUndefined();
  expect(node.nativeCrc32?.(bytes.subarray(300), crc32(bytes.subarray(0, 300)))).toBe(crc32(bytes));
});
