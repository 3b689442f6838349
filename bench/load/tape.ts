import { encodeFrame, FRAME, frameCrc } from '../../src/protocol/frame.ts';

/**
 * Frames of one stream, encoded before anything is measured: all bytes in the order in which they are sent, where each
 * frame ends and which partition it is for.
 */
export interface Tape {
  readonly stream: string;
  readonly bytes: Buffer;
  readonly ends: readonly number[];
  readonly partitions: readonly number[];
  /** Sum of the frames' CRCs: what is found in the queue must give the same. */
  readonly crcSum: number;
}

/** Writes a {@link Tape}: payload after payload becomes the next frame of its partition. */
export class TapeWriter {
  readonly #stream: string;
  #bytes = Buffer.allocUnsafe(INITIAL_BYTES);
  #length = 0;
  readonly #ends: number[] = [];
  readonly #partitions: number[] = [];
  /** By partition: how many frames there are, and the CRC of the last. */
  readonly #seqs: number[] = [];
  readonly #crcs: number[] = [];
  #crcSum = 0;

  /** `stream` is 32 hex digits. */
  constructor(stream: string) {
    this.#stream = stream;
  }

  add(partition: number, payload: Uint8Array): void {
    const seq = (this.#seqs[partition] ?? 0) + 1;
    const frame = encodeFrame({ type: FRAME.batch, partition, seq, prev: this.#crcs[partition] ?? 0, payload });
    const crc = frameCrc(frame);
    this.#seqs[partition] = seq;
    this.#crcs[partition] = crc;
    this.#crcSum += crc;
    this.#reserve(frame.length);
    this.#bytes.set(frame, this.#length);
    this.#length += frame.length;
    this.#ends.push(this.#length);
    this.#partitions.push(partition);
  }

  finish(): Tape {
    return {
      stream: this.#stream,
      bytes: this.#bytes.subarray(0, this.#length),
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
