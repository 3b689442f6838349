import type { Place } from '../../src/core/stream.ts';
import { encodeFrame, FRAME, frameCrc } from '../../src/protocol/frame.ts';
import type { Spool, SpooledFrame } from '../../src/client/spool.ts';

/** Frames of one partition, each naming the one before. */
export class FrameChain {
  readonly frames: SpooledFrame[] = [];
  readonly partition: number;
  readonly #payload: (seq: number) => Uint8Array;

  /** Payloads of `bytes`, or what a function makes. */
  constructor(partition: number, bytes: number | ((seq: number) => Uint8Array) = 20) {
    this.partition = partition;
    this.#payload = typeof bytes === 'number' ? (seq) => Buffer.alloc(bytes, `${partition} ${seq} `) : bytes;
  }

  /** The next `count` frames. */
  next(count: number): SpooledFrame[] {
    const added: SpooledFrame[] = [];
    for (let i = 0; i < count; i++) {
      const seq = this.frames.length + 1;
      const payload = this.#payload(seq);
      const bytes = encodeFrame({ type: FRAME.batch, partition: this.partition, seq, prev: this.frames.at(-1)?.crc ?? 0, payload });
      const frame = { partition: this.partition, seq, crc: frameCrc(bytes), bytes };
      this.frames.push(frame);
      added.push(frame);
    }
    return added;
  }

  place(seq: number): Place {
    return { seq, crc: this.frames[seq - 1]!.crc };
  }
}

/** What is held, as `partition:seq`, and the bytes of it. */
export function heldOf(spool: Spool): string[] {
  return spool.restored.held.map(({ partition, seq }) => `${partition}:${seq}`);
}
