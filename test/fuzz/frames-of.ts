import { strict as assert } from 'node:assert';
import { SyncError } from '../../src/core/errors.ts';
import { FrameDecoder } from '../../src/protocol/frame-decoder.ts';
import { encodeFrame, type Frame } from '../../src/protocol/frame.ts';
import type { SeededRandom } from '../support/seeded-random.ts';

/**
 * Cuts what a connection brought into frames, which may be torn anywhere; each must be what our encoder writes for its
 * fields. Whatever ends the connection must be said in the protocol's words.
 */
export function framesOf(bytes: Buffer, maxFrameBytes: number, random: SeededRandom): Frame[] {
  const decoder = new FrameDecoder(maxFrameBytes);
  const frames: Frame[] = [];
  try {
    for (let at = 0; at < bytes.length;) {
      const end = random.chance(0.7) ? bytes.length : at + 1 + random.below(bytes.length - at);
      decoder.push(bytes.subarray(at, end));
      at = end;
      for (let frame = decoder.next(); frame !== undefined; frame = decoder.next()) {
        assert(Buffer.from(encodeFrame(frame)).equals(frame.bytes), 'a frame was accepted that nobody would write');
        frames.push(frame);
      }
      assert(decoder.bufferedBytes < maxFrameBytes, `${decoder.bufferedBytes} bytes wait for the rest of a frame`);
    }
  } catch (error) {
    if (!(error instanceof SyncError) || error.kind !== 'connection') throw error;
  }
  return frames;
}
