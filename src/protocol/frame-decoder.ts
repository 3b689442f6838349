import { SyncError } from '../core/errors.ts';
import { allocate } from '../core/platform.ts';
import { checkLength, FRAME, type Frame, HEADER_BYTES, readFrame } from './frame.ts';

/**
 * Cuts a byte stream into frames.
 *
 * Memory follows what was received, never what a peer announces: chunks are kept as they came, and joined only when a
 * whole frame is there. A frame that lies in one chunk is a view on it, so a chunk belongs to the decoder once pushed; but
 * a BATCH, which may be kept for long, is a copy where batches are less than half of what it would keep.
 * Call {@link next} until it returns undefined after every {@link push}: then {@link bufferedBytes} stays below
 * `maxFrameBytes` plus one chunk.
 */
export class FrameDecoder {
  /** The most bytes a whole frame may have; applies to frames whose length has not been looked at yet. */
  maxFrameBytes: number;
  /** Received, in order; `#offset` bytes of the first are used up. */
  #parts: Uint8Array[] = [];
  #offset = 0;
  #bufferedBytes = 0;
  /** Whole bytes of the frame at the head; 0 while its length is not known. */
  #frameBytes = 0;
  /** Collects chunks too small to be kept one by one; `#scratchStart` … `#scratchEnd` is not among the parts yet. */
  #scratch: Uint8Array = EMPTY;
  #scratchStart = 0;
  #scratchEnd = 0;
  #failure: { readonly error: unknown } | undefined;
  /** The part that was looked through last, and whether its batches are to be copied. */
  #judged: Uint8Array | undefined;
  #isSparse = false;

  constructor(maxFrameBytes: number) {
    this.maxFrameBytes = maxFrameBytes;
  }

  /** Bytes that were pushed and are in no frame yet. */
  get bufferedBytes(): number {
    return this.#bufferedBytes;
  }

  /** Bytes of memory that is kept for those: of a chunk that is used in part, all of it. */
  get retainedBytes(): number {
    return this.#bufferedBytes + this.#offset;
  }

  push(chunk: Uint8Array): void {
    if (chunk.length === 0 || this.#failure !== undefined) return;
    const small = this.#bufferedBytes > 0 && chunk.length < SMALL_CHUNK_BYTES;
    this.#bufferedBytes += chunk.length;
    if (small) return this.#collect(chunk);
    this.#seal();
    this.#parts.push(chunk);
  }

  /**
   * The next whole frame, or undefined until more bytes are pushed. Its memory is never written again.
   * @throws {SyncError} of kind `connection`; the decoder is of no use after that and throws the same again.
   */
  next(): Frame | undefined {
    if (this.#failure !== undefined) throw this.#failure.error;
    try {
      return this.#next();
    } catch (error) {
      this.#failure = { error };
      this.#clear();
      throw error;
    }
  }

  /** Gives up the used part of a chunk where it is beyond `bytes`, and what is left no more than that: it is copied. */
  trim(bytes: number): void {
    const [first] = this.#parts;
    if (first === undefined || this.#offset <= bytes || this.#bufferedBytes > this.#offset) return;
    const left = allocate(first.length - this.#offset);
    left.set(first.subarray(this.#offset));
    this.#parts[0] = left;
    this.#judged = undefined;
    this.#offset = 0;
  }

  /** Throws away what was pushed and is in no frame yet. */
  clear(): void {
    this.#clear();
    this.#frameBytes = 0;
  }

  #next(): Frame | undefined {
    if (this.#frameBytes === 0) {
      if (this.#bufferedBytes < 4) return undefined;
      this.#seal();
      this.#frameBytes = this.#announcedBytes();
    }
    if (this.#bufferedBytes < this.#frameBytes) return undefined;
    this.#seal();
    const bytes = this.#take(this.#frameBytes);
    this.#frameBytes = 0;
    return readFrame(bytes);
  }

  #announcedBytes(): number {
    let length = 0;
    let index = 0;
    let at = this.#offset;
    for (let i = 0; i < 4; i++) {
      while (at === this.#parts[index]!.length) {
        index++;
        at = 0;
      }
      length = length * 256 + this.#parts[index]![at++]!;
    }
    checkLength(length);
    const frameBytes = length + 4;
    if (frameBytes > this.maxFrameBytes) {
      throw new SyncError(
        'frame_too_large',
        `a frame announces ${frameBytes} bytes in all; at most ${this.maxFrameBytes} are accepted here`,
      );
    }
    return frameBytes;
  }

  /** Removes `count` bytes from the head: a view where they lie together, else a joined copy. */
  #take(count: number): Uint8Array {
    const first = this.#parts[0]!;
    const start = this.#offset;
    if (first.length - start >= count) {
      const end = start + count;
      if (this.#judged !== first) this.#judge(first, start);
      this.#bufferedBytes -= count;
      this.#dropUsed(end === first.length ? 1 : 0, end === first.length ? 0 : end);
      if (this.#isSparse && first[start + 4] === FRAME.batch) return copyOf(first, start, end);
      return start === 0 && first.length === count ? first : first.subarray(start, end);
    }
    const joined = allocate(count);
    let filled = 0;
    let index = 0;
    let at = start;
    while (filled < count) {
      const part = this.#parts[index]!;
      const used = Math.min(part.length - at, count - filled);
      joined.set(at === 0 && used === part.length ? part : part.subarray(at, at + used), filled);
      filled += used;
      at += used;
      if (at < part.length) break;
      index++;
      at = 0;
    }
    this.#bufferedBytes -= count;
    this.#dropUsed(index, at);
    return joined;
  }

  /** Looks whether batches are less than half of the memory that whoever keeps one of them keeps. */
  #judge(part: Uint8Array, start: number): void {
    let batchBytes = 0;
    for (let at = start; at + HEADER_BYTES <= part.length;) {
      const frameBytes = ((part[at]! << 24) | (part[at + 1]! << 16) | (part[at + 2]! << 8) | part[at + 3]!) + 4;
      // What is not a frame is refused when its turn comes.
      if (frameBytes < HEADER_BYTES || at + frameBytes > part.length) break;
      if (part[at + 4] === FRAME.batch) batchBytes += frameBytes;
      at += frameBytes;
    }
    this.#judged = part;
    this.#isSparse = batchBytes * 2 < part.buffer.byteLength;
  }

  #dropUsed(partCount: number, offset: number): void {
    if (this.#bufferedBytes === 0) return this.#clear();
    if (partCount > 0) {
      this.#parts.splice(0, partCount);
      this.#judged = undefined;
    }
    this.#offset = offset;
  }

  /** Appends a small chunk to memory of our own, which doubles with what was received. */
  #collect(chunk: Uint8Array): void {
    if (this.#scratch.length - this.#scratchEnd < chunk.length) {
      const bytes = Math.max(chunk.length, Math.min(this.#scratch.length * 2, MAX_SCRATCH_BYTES), MIN_SCRATCH_BYTES);
      this.#seal();
      this.#scratch = allocate(bytes);
      this.#scratchStart = 0;
      this.#scratchEnd = 0;
    }
    this.#scratch.set(chunk, this.#scratchEnd);
    this.#scratchEnd += chunk.length;
  }

  /** Puts what was collected among the parts. The rest of the scratch memory goes on being filled behind it. */
  #seal(): void {
    if (this.#scratchStart === this.#scratchEnd) return;
    this.#parts.push(this.#scratch.subarray(this.#scratchStart, this.#scratchEnd));
    this.#scratchStart = this.#scratchEnd;
  }

  #clear(): void {
    this.#parts = [];
    this.#judged = undefined;
    this.#offset = 0;
    this.#bufferedBytes = 0;
    this.#scratch = EMPTY;
    this.#scratchStart = 0;
    this.#scratchEnd = 0;
  }
}

function copyOf(part: Uint8Array, start: number, end: number): Uint8Array {
  const copy = allocate(end - start);
  copy.set(part.subarray(start, end));
  return copy;
}

const EMPTY = new Uint8Array(0);
/** Chunks below this are copied together: an object for each would weigh more than its bytes. */
const SMALL_CHUNK_BYTES = 2048;
const MIN_SCRATCH_BYTES = 512;
const MAX_SCRATCH_BYTES = 64 * 1024;
