import { crc32 } from 'node:zlib';
import { crc32Of } from '../../src/core/crc32.ts';
import { FrameDecoder } from '../../src/protocol/frame-decoder.ts';
import { DEFAULT_MAX_FRAME_BYTES, encodeFrame, FRAME } from '../../src/protocol/frame.ts';
import type { Tape } from '../load/tape.ts';
import type { Micro, MicroCase } from './micro.ts';
import { batchOf, sampleItems, tapeOf } from './samples.ts';

/** As sockets hand it over. */
const CHUNK_BYTES = 64 * 1024;
const SMALL_FRAME = Buffer.alloc(124, 7);

export const frames: Micro = {
  name: 'frames',
  title: 'frames cut out of a byte stream and checked (src/protocol/frame-decoder.ts, frame.ts)',
  cases() {
    const items = sampleItems();
    const small = tapeOf(batchOf(items.slice(0, 1)), 5_000);
    const large = tapeOf(Buffer.alloc(7_976), 500);
    const batch = batchOf(items.slice(0, 600));
    return [
      decoding('decode, one change in a frame', small),
      decoding('decode, frames of 8,000 bytes', large),
      {
        name: 'CRC of a frame of 124 bytes',
        unit: 'frame',
        count: 5_000,
        run: () => repeat(5_000, () => crc32Of(SMALL_FRAME, 24, 124, crc32Of(SMALL_FRAME, 4, 20))),
      },
      {
        name: 'CRC of a frame of 124 bytes, by zlib',
        unit: 'frame',
        count: 5_000,
        run: () => repeat(5_000, () => crc32(SMALL_FRAME.subarray(24), crc32(SMALL_FRAME.subarray(4, 20)))),
      },
      { name: 'crc32 of 8,000 bytes', unit: 'frame', count: 500, run: () => repeat(500, () => crc32(large.bytes.subarray(0, 8_000))) },
      {
        name: `encode, a batch of ${batch.length} bytes`,
        unit: 'frame',
        count: 500,
        run: () => repeat(500, () => encodeFrame({ type: FRAME.batch, seq: 1, payload: batch })),
      },
    ];
  },
};

function decoding(name: string, { bytes, ends }: Tape): MicroCase {
  const run = () => {
    const decoder = new FrameDecoder(DEFAULT_MAX_FRAME_BYTES);
    let count = 0;
    for (let at = 0; at < bytes.length; at += CHUNK_BYTES) {
      decoder.push(bytes.subarray(at, at + CHUNK_BYTES));
      while (decoder.next() !== undefined) count++;
    }
    if (count !== ends.length) throw new Error(`${count} of ${ends.length} frames were found`);
  };
  return { name, unit: 'frame', count: ends.length, run };
}

function repeat(times: number, run: () => unknown): void {
  for (let i = 0; i < times; i++) run();
}
