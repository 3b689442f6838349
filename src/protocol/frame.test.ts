import { describe, expect, test } from 'vitest';
import { crc32 } from 'node:zlib';
import { SyncError } from '../core/errors.ts';
import { encodeFrame, FRAME, frameCrc, type FrameFields, frameName, readFrame, readHeader } from './frame.ts';

describe('a frame', () => {
  test('comes back as it was written', () => {
    const payload = Buffer.from('payload');
    const bytes = encodeFrame({ type: FRAME.batch, flags: 1, partition: 255, seq: 2 ** 53 - 1, prev: 0xffff_ffff, payload });
    const frame = readFrame(bytes);
    expect(frame).toMatchObject({ type: FRAME.batch, flags: 1, partition: 255, seq: 2 ** 53 - 1, prev: 0xffff_ffff });
    expect(Buffer.from(frame.payload)).toEqual(payload);
    expect(frame.crc).toBe(crc32(Buffer.concat([bytes.subarray(4, 20), payload])));
    expect(frameCrc(bytes)).toBe(frame.crc);
    expect(readHeader(bytes)).toEqual({ type: 3, flags: 1, partition: 255, seq: 2 ** 53 - 1, prev: 0xffff_ffff, crc: frame.crc });
  });

  test('has memory of its own', () => {
    const bytes = encodeFrame({ type: FRAME.ping, payload: Buffer.from('x') });
    expect(bytes.byteOffset).toBe(0);
    expect(bytes.buffer.byteLength).toBe(bytes.length);
  });

  test.each<[string, FrameFields]>([
    ['HELLO', { type: FRAME.hello, payload: Buffer.from([0x80]) }],
    ['the first BATCH', { type: FRAME.batch, partition: 3, seq: 1 }],
    ['STORED of nothing', { type: FRAME.stored, partition: 3, seq: 0 }],
    ['APPLIED with a crc', { type: FRAME.applied, partition: 3, seq: 9, prev: 5 }],
    ['REWIND', { type: FRAME.rewind, partition: 3, seq: 9 }],
    ['REJECTED', { type: FRAME.rejected, partition: 3, seq: 9 }],
    ['PING with 64 bytes', { type: FRAME.ping, payload: Buffer.alloc(64) }],
    ['BYE', { type: FRAME.bye }],
  ])('%s is accepted', (_, fields) => {
    expect(readFrame(encodeFrame(fields)).type).toBe(fields.type);
  });

  test.each<[string, FrameFields, string, RegExp]>([
    ['an unknown type', { type: 0x42 }, 'unknown_type', /0x42/],
    ['a reserved type', { type: 0x10 }, 'unknown_type', /0x10/],
    ['an unknown flag', { type: FRAME.batch, seq: 1, flags: 2 }, 'bad_flags', /BATCH has flags 0x02/],
    ['compression of HELLO', { type: FRAME.hello, flags: 1 }, 'bad_flags', /HELLO/],
    ['a partition in HELLO', { type: FRAME.hello, partition: 1 }, 'bad_frame', /partition 1/],
    ['a seq in CREDIT', { type: FRAME.credit, seq: 7 }, 'bad_frame', /seq 7/],
    ['seq 0 in BATCH', { type: FRAME.batch, seq: 0 }, 'bad_frame', /seq 0/],
    ['seq 0 in REWIND', { type: FRAME.rewind, seq: 0 }, 'bad_frame', /seq 0/],
    ['prev in REWIND', { type: FRAME.rewind, seq: 1, prev: 1 }, 'bad_frame', /prev/],
    ['prev in PING', { type: FRAME.ping, prev: 1 }, 'bad_frame', /prev/],
    ['a payload of STORED', { type: FRAME.stored, seq: 1, payload: Buffer.alloc(1) }, 'bad_frame', /payload of 1/],
    ['a payload of BYE', { type: FRAME.bye, payload: Buffer.alloc(1) }, 'bad_frame', /BYE/],
    ['65 bytes in PING', { type: FRAME.ping, payload: Buffer.alloc(65) }, 'bad_frame', /65/],
  ])('%s is refused', (_, fields, code, message) => {
    const error = thrownBy(() => readFrame(encodeFrame(fields)));
    expect(error.code).toBe(code);
    expect(error.kind).toBe('connection');
    expect(error.message).toMatch(message);
  });

  test('a flipped bit anywhere after the length is a wrong checksum', () => {
    const good = encodeFrame({ type: FRAME.batch, partition: 1, seq: 5, prev: 77, payload: Buffer.from('hello') });
    for (let bit = 32; bit < good.length * 8; bit++) {
      const bytes = Buffer.from(good);
      bytes[bit >> 3]! ^= 1 << (bit & 7);
      expect(thrownBy(() => readFrame(bytes)).code).toBe('bad_crc');
    }
  });

  test('a seq above 2^53 − 1 is refused with its value', () => {
    const bytes = Buffer.from(encodeFrame({ type: FRAME.batch, seq: 1 }));
    bytes.writeBigUInt64BE(2n ** 53n, 8);
    bytes.writeUInt32BE(crc32(bytes.subarray(4, 20)), 20);
    const error = thrownBy(() => readFrame(bytes));
    expect(error.code).toBe('bad_frame');
    expect(error.message).toContain('9007199254740992');
  });

  test('a length that does not fit the bytes is refused', () => {
    const bytes = Buffer.from(encodeFrame({ type: FRAME.bye }));
    expect(thrownBy(() => readFrame(bytes.subarray(0, 23))).code).toBe('frame_too_small');
    expect(thrownBy(() => readFrame(Buffer.concat([bytes, Buffer.alloc(1)]))).code).toBe('bad_frame');
    bytes.writeUInt32BE(19, 0);
    expect(thrownBy(() => readFrame(bytes)).code).toBe('frame_too_small');
  });

  test('has a name for people', () => {
    expect(frameName(FRAME.goaway)).toBe('GOAWAY');
    expect(frameName(0x99)).toBe('type 0x99');
  });
});

function thrownBy(run: () => unknown): SyncError {
  try {
    run();
  } catch (error) {
    if (error instanceof SyncError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}
