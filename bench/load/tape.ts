import { encodeFrame, FRAME, frameCrc } from '../../src/protocol/frame.ts';

/** Frames of one stream, encoded before anything is measured, in the order in which they are sent. */
export interface Tape {
  readonly stream: string;
  /** All frames, without what every one of them ends with: a sender must not take the memory that others are measured with. */
  readonly bytes: Buffer;
  /** What every frame ends with, often nothing. */
  readonly tail: Uint8Array;
  /** Where each frame ends, with its tail. */
  readonly ends: readonly number[];
  /** Which partition each frame is for. */
  readonly partitions: readonly number[];
  /** Sum of the frames' CRCs: what is found in the queue must give the same. */
  readonly crcSum: number;
}

/** The bytes of the frames `first` to `next` − 1, as they are sent, in pieces of memory that is not copied. */
export function piecesOf({ bytes, tail, ends }: Tape, first: number, next: number): Uint8Array[] {
  let start = first === 0 ? 0 : (ends[first - 1] as number) - first * tail.length;
  if (tail.length === 0) return [bytes.subarray(start, ends[next - 1])];
  const pieces: Uint8Array[] = [];
  for (let frame = first; frame < next; frame++) {
    const end = (ends[frame] as number) - (frame + 1) * tail.length;
    pieces.push(bytes.subarray(start, end), tail);
    start = end;
  }
  return pieces;
}

/** Writes a {@link Tape}: payload after payload becomes the next frame of its partition. */
export class TapeWriter {
  readonly #stream: string;
  readonly #tail: Uint8Array;
  #bytes = Buffer.allocUnsafe(INITIAL_BYTES);
  #length = 0;
  readonly #ends: number[] = [];
  readonly #partitions: number[] = [];
  /** By partition: how many frames there are, and the CRC of the last. */
  readonly #seqs: number[] = [];
  readonly #crcs: number[] = [];
  #crcSum = 0;

  /** `stream` is 32 hex digits. All payloads end with `tail`. */
  constructor(stream: string, tail: Uint8Array = new Uint8Array()) {
    this.#stream = stream;
    this.#tail = tail;
  }

  add(partition: number, payload: Uint8Array): void {
    const seq = (this.#seqs[partition] ?? 0) + 1;
    const frame = encodeFrame({ type: FRAME.batch, partition, seq, prev: this.#crcs[partition] ?? 0, payload });
    const crc = frameCrc(frame);
    this.#seqs[partition] = seq;
    this.#crcs[partition] = crc;
    this.#crcSum += crc;
    const head = frame.subarray(0, frame.length - this.#tail.length);
    this.#reserve(head.length);
    this.#bytes.set(head, this.#length);
    this.#length += head.length;
    this.#ends.push((this.#ends.at(-1) ?? 0) + frame.length);
    this.#partitions.push(partition);
  }

  finish(): Tape {
    return {
      stream: this.#stream,
      bytes: this.#bytes.subarray(0, this.#length),
      tail: this.#tail,
      ends: this.#ends,
      partitions: this.#partitions,
      crcSum: this.#crcSum,
    };
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#length + bytes));
    larger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = larger;
  }
}

const INITIAL_BYTES = 1 << 20;
