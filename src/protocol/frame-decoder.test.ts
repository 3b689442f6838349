import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FrameDecoder } from './frame-decoder.ts';
import { encodeFrame, FRAME, type Frame, readFrame } from './frame.ts';

describe('the frame decoder', () => {
  test('returns the same frames however the bytes are cut', () => {
    const frames = fc.array(fc.oneof(fc.nat({ max: 50 }), fc.nat({ max: 9000 })), { minLength: 1, maxLength: 12 });
    const cuts = fc.array(fc.oneof(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 6000 })), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(frames, cuts, (sizes, lengths) => {
        const sent = sizes.map((size, i) => encodeFrame({ type: FRAME.batch, seq: i + 1, payload: Buffer.alloc(size, i + 1) }));
        const received = decodeAll(chunksOf(Buffer.concat(sent), lengths));
        expect(received.map((frame) => Buffer.from(frame.bytes))).toEqual(sent);
        for (const frame of received) expect(frame.payload.length).toBe(frame.bytes.length - 24);
      }),
      { numRuns: 300 },
    );
  });

  test('returns frames of one chunk as views on it, without a copy', () => {
    const frames = [1, 2, 3].map((seq) => encodeFrame({ type: FRAME.batch, seq, payload: Buffer.alloc(10) }));
    // In memory of its own, as it comes from a socket.
    const chunk = Buffer.from(Uint8Array.from(Buffer.concat(frames)).buffer);
    for (const frame of decodeAll([chunk])) {
      expect(frame.bytes.buffer).toBe(chunk.buffer);
      expect(frame.payload.buffer).toBe(chunk.buffer);
    }
  });

  test('gives up the used part of a long chunk when it is told to, and nothing else', () => {
    const [first, second] = [1, 2].map((seq) => encodeFrame({ type: FRAME.batch, seq, payload: Buffer.alloc(5_000, seq) }));
    const decoder = new FrameDecoder(1 << 20);
    decoder.push(Buffer.concat([first!, second!.subarray(0, 3_000)]));
    decoder.next();
    expect([decoder.bufferedBytes, decoder.retainedBytes]).toEqual([3_000, 5_024 + 3_000]);
    decoder.trim(5_024);
    expect(decoder.retainedBytes).toBe(5_024 + 3_000);
    decoder.trim(5_023);
    expect([decoder.bufferedBytes, decoder.retainedBytes]).toEqual([3_000, 3_000]);
    decoder.push(second!.subarray(3_000));
    expect(Buffer.from(decoder.next()!.bytes)).toEqual(Buffer.from(second!));
  });

  test('frames stay as they are while later chunks arrive', () => {
    const sent = Array.from({ length: 200 }, (_, i) => encodeFrame({ type: FRAME.batch, seq: i + 1, payload: Buffer.alloc(100, i) }));
    const received = decodeAll(chunksOf(Buffer.concat(sent), [7]));
    received.forEach((frame, i) => expect(Buffer.from(frame.bytes)).toEqual(sent[i]));
  });

  test('refuses a length as soon as its four bytes are there', () => {
    const small = new FrameDecoder(4096);
    small.push(Buffer.from([0, 0, 0]));
    expect(small.next()).toBeUndefined();
    small.push(Buffer.from([19]));
    expect(() => small.next()).toThrow(expect.objectContaining({ code: 'frame_too_small' }));

    const large = new FrameDecoder(4096);
    large.push(Buffer.from([0, 0, 0x0f, 0xfd]));
    expect(() => large.next()).toThrow(expect.objectContaining({ code: 'frame_too_large', message: expect.stringContaining('4097') }));
    large.push(encodeFrame({ type: FRAME.bye }));
    expect(() => large.next()).toThrow(expect.objectContaining({ code: 'frame_too_large' }));
    expect(large.bufferedBytes).toBe(0);
  });

  test('accepts a frame of exactly the limit', () => {
    const decoder = new FrameDecoder(4096);
    decoder.push(encodeFrame({ type: FRAME.batch, seq: 1, payload: Buffer.alloc(4096 - 24) }));
    expect(decoder.next()?.bytes.length).toBe(4096);
  });

  test('takes a new limit for the frames that follow', () => {
    const large = encodeFrame({ type: FRAME.batch, seq: 1, payload: Buffer.alloc(5000) });
    const decoder = new FrameDecoder(4096);
    decoder.push(Buffer.concat([encodeFrame({ type: FRAME.hello }), large]));
    expect(decoder.next()?.type).toBe(FRAME.hello);
    decoder.maxFrameBytes = 1 << 20;
    expect(decoder.next()?.bytes.length).toBe(large.length);
  });

  test('allocates for what arrived, not for what is announced', () => {
    const before = process.memoryUsage().arrayBuffers;
    const decoders = Array.from({ length: 1000 }, () => {
      const decoder = new FrameDecoder(1 << 30);
      for (const byte of [0x3f, 0xff, 0xff, 0x00, 3, 0]) {
        decoder.push(Buffer.from([byte]));
        decoder.next();
      }
      return decoder;
    });
    expect(decoders.every((decoder) => decoder.bufferedBytes === 6)).toBe(true);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(4 << 20);
  });

  test('joins 4 MiB that arrive byte by byte', () => {
    const sent = encodeFrame({ type: FRAME.batch, seq: 1, payload: Buffer.alloc(4 * 1024 * 1024 - 24, 7) });
    const decoder = new FrameDecoder(sent.length);
    for (let i = 0; i < sent.length - 1; i++) {
      decoder.push(sent.subarray(i, i + 1));
      if (decoder.next() !== undefined) throw new Error(`a frame came out after ${i} bytes`);
    }
    expect(decoder.bufferedBytes).toBe(sent.length - 1);
    decoder.push(sent.subarray(sent.length - 1));
    expect(Buffer.from(sent).equals(decoder.next()!.bytes)).toBe(true);
    expect(decoder.bufferedBytes).toBe(0);
  });

  test('counts what is buffered', () => {
    const frame = encodeFrame({ type: FRAME.bye });
    const decoder = new FrameDecoder(4096);
    decoder.push(Buffer.concat([frame, frame.subarray(0, 5)]));
    expect(decoder.bufferedBytes).toBe(29);
    decoder.next();
    expect(decoder.bufferedBytes).toBe(5);
    decoder.push(frame.subarray(5));
    expect(decoder.next()).toEqual(readFrame(frame));
    expect(decoder.bufferedBytes).toBe(0);
  });

  test('random bytes give an error of the connection or nothing', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const decoder = new FrameDecoder(4096);
        decoder.push(bytes);
        try {
          while (decoder.next() !== undefined);
        } catch (error) {
          expect(error).toMatchObject({ name: 'SyncError', kind: 'connection' });
        }
      }),
      { numRuns: 2000 },
    );
  });
});

function decodeAll(chunks: Iterable<Buffer>): Frame[] {
  const decoder = new FrameDecoder(1 << 20);
  const frames: Frame[] = [];
  for (const chunk of chunks) {
    decoder.push(chunk);
    for (let frame = decoder.next(); frame !== undefined; frame = decoder.next()) frames.push(frame);
  }
  expect(decoder.bufferedBytes).toBe(0);
  return frames;
}

/** Cuts `bytes` into copies of the given lengths, over and over. */
function* chunksOf(bytes: Buffer, lengths: readonly number[]): Generator<Buffer> {
  let at = 0;
  for (let i = 0; at < bytes.length; i++) {
    const length = lengths[i % lengths.length]!;
    yield Buffer.from(bytes.subarray(at, at + length));
    at += length;
  }
}
