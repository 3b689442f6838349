import { randomBytes } from 'node:crypto';
import { constants, zstdCompressSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { SyncError } from '../core/errors.ts';
import { expandPayload } from './expand-payload.ts';
import { encodeFrame, FRAME, FLAG_ZSTD, type Frame, readFrame } from './frame.ts';

const MAX = 1 << 20;
const text = Buffer.from('a row like any other, '.repeat(1000));

describe('a compressed payload', () => {
  test.each<[string, Buffer]>([
    ['of text', text],
    ['of random bytes', randomBytes(70_000)],
    ['of 1 byte', Buffer.from('x')],
    ['of 255 bytes', text.subarray(0, 255)],
    ['of 256 bytes', text.subarray(0, 256)],
    ['of 65,791 bytes', Buffer.alloc(65_791, 1)],
    ['of 65,792 bytes', Buffer.alloc(65_792, 1)],
    ['of exactly the limit', Buffer.alloc(MAX, 2)],
  ])('%s expands to what it was', (_, content) => {
    expect(content.equals(expandPayload(compressed(zstd(content)), MAX))).toBe(true);
  });

  test('may carry a checksum', () => {
    const payload = zstdCompressSync(text, { pledgedSrcSize: text.length, params: { [constants.ZSTD_c_checksumFlag]: 1 } });
    expect(text.equals(expandPayload(compressed(payload), MAX))).toBe(true);
    payload[payload.length - 1]! ^= 1;
    expect(refusal(payload)).toBe('malformed_payload');
  });

  test('that is not compressed is the payload itself', () => {
    const frame = readFrame(encodeFrame({ type: FRAME.batch, seq: 1, payload: text }));
    expect(expandPayload(frame, MAX)).toBe(frame.payload);
  });

  test('above the limit is refused before anything is expanded', () => {
    expect(refusal(zstd(Buffer.alloc(MAX + 1)))).toBe('payload_too_large');
    expect(refusal(bomb(2 ** 40))).toBe('payload_too_large');
    expect(refusal(declaring(zstd(text), 2 ** 52))).toBe('payload_too_large');
  });

  test('that holds more than it declares is refused within the declared size', () => {
    expect(refusal(bomb(100))).toBe('malformed_payload');
    expect(refusal(declaring(zstd(text), text.length - 1))).toBe('malformed_payload');
  });

  test('that holds less than it declares is refused', () => {
    expect(refusal(declaring(zstd(text), text.length + 1))).toBe('malformed_payload');
    expect(refusal(declaring(zstd(text), MAX))).toBe('malformed_payload');
  });

  test.each<[string, Buffer, RegExp]>([
    ['nothing', Buffer.alloc(0), /not a zstd frame/],
    ['something else', Buffer.from('hello, world'), /not a zstd frame/],
    ['a skippable frame', Buffer.concat([Buffer.from('502a4d1804000000', 'hex'), Buffer.alloc(4), zstd(text)]), /not a zstd frame/],
    ['no declared content size', Buffer.from('28b52ffd0058010000', 'hex'), /content size/],
    ['a dictionary', Buffer.from('28b52ffd210000010000', 'hex'), /dictionary/],
    ['a reserved bit', Buffer.from('28b52ffd2800010000', 'hex'), /reserved bit/],
    ['a reserved block type', Buffer.from('28b52ffd2000070000', 'hex'), /reserved type/],
    ['a second frame', Buffer.concat([zstd(text), zstd(text)]), /followed by/],
    ['bytes after it', Buffer.concat([zstd(text), Buffer.alloc(1)]), /followed by 1/],
    ['its end cut off', zstd(text).subarray(0, -1), /ends early/],
    ['its header only', zstd(text).subarray(0, 6), /ends early/],
  ])('with %s is refused', (_, payload, message) => {
    expect(() => expandPayload(compressed(payload), MAX)).toThrow(
      expect.objectContaining({ code: 'malformed_payload', message: expect.stringMatching(message) }),
    );
  });

  test('with any flipped byte is refused or expands within the limit', () => {
    const good = zstd(text);
    for (let at = 0; at < good.length; at++) {
      for (const mask of [1, 0x10, 0x80, 0xff]) {
        const payload = Buffer.from(good);
        payload[at]! ^= mask;
        try {
          expect(expandPayload(compressed(payload), MAX).length).toBeLessThanOrEqual(MAX);
        } catch (error) {
          expect(error).toBeInstanceOf(SyncError);
        }
      }
    }
  });
});

function zstd(content: Buffer): Buffer {
  return zstdCompressSync(content, { pledgedSrcSize: content.length });
}

function compressed(payload: Buffer): Frame {
  return readFrame(encodeFrame({ type: FRAME.batch, seq: 1, flags: FLAG_ZSTD, payload }));
}

function refusal(payload: Buffer): string {
  const before = process.memoryUsage().arrayBuffers;
  try {
    expandPayload(compressed(payload), MAX);
    return 'accepted';
  } catch (error) {
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(8 * MAX);
    return (error as SyncError).code;
  }
}

/** A frame of 1,000 blocks which each repeat one byte 128 KiB times: 131 MB from 4 KB. */
function bomb(declaredBytes: number): Buffer {
  const block = Buffer.alloc(4);
  block.writeUIntLE((131_072 << 3) | 2, 0, 3);
  const last = Buffer.from(block);
  last[0]! |= 1;
  return Buffer.concat([header(declaredBytes), ...Array.from({ length: 999 }, () => block), last]);
}

/** The blocks of `frame` behind a header that declares another size. */
function declaring(frame: Buffer, declaredBytes: number): Buffer {
  const descriptor = frame[4]!;
  const sizeBytes = descriptor >> 6 === 0 ? 1 : 1 << (descriptor >> 6);
  return Buffer.concat([header(declaredBytes), frame.subarray((descriptor & 0x20 ? 5 : 6) + sizeBytes)]);
}

/** Magic, a descriptor with an 8-byte content size, a window of 128 KiB. */
function header(declaredBytes: number): Buffer {
  const bytes = Buffer.from('28b52ffdc0380000000000000000', 'hex');
  bytes.writeBigUInt64LE(BigInt(declaredBytes), 6);
  return bytes;
}
