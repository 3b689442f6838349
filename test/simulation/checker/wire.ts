import { crc32 } from 'node:zlib';
import { Unpackr } from 'msgpackr';

/**
 * Frames read without the product's code: the header by its offsets, the payload with a stock decoder. What the product
 * misreads, this does not misread in the same way.
 */
export interface WireFrame {
  readonly type: number;
  readonly partition: number;
  readonly seq: number;
  readonly prev: number;
  readonly crc: number;
  readonly payload: Buffer;
}

export const TYPE = { hello: 1, welcome: 2, batch: 3, stored: 4, applied: 5, rewind: 6, rejected: 7, credit: 8, error: 12 } as const;

const HEADER_BYTES = 24;
/** The part of the header that its checksum covers. */
const CHECKED = { from: 4, to: 20 };

export function readWireFrame(bytes: Uint8Array): WireFrame {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return {
    type: buffer.readUInt8(4),
    partition: buffer.readUInt16BE(6),
    seq: Number(buffer.readBigUInt64BE(8)),
    prev: buffer.readUInt32BE(16),
    crc: buffer.readUInt32BE(20),
    payload: buffer.subarray(HEADER_BYTES),
  };
}

/** Cuts a stream of bytes into frames. What follows a frame that was damaged is nothing. */
export class WireReader {
  #bytes = Buffer.alloc(0);
  #isBroken = false;

  push(chunk: Uint8Array): WireFrame[] {
    this.#bytes = this.#bytes.length === 0 ? Buffer.from(chunk) : Buffer.concat([this.#bytes, chunk]);
    const frames: WireFrame[] = [];
    while (!this.#isBroken && this.#bytes.length >= HEADER_BYTES) {
      const length = 4 + this.#bytes.readUInt32BE(0);
      if (this.#bytes.length < length) break;
      const bytes = this.#bytes.subarray(0, length);
      this.#isBroken = !isIntact(bytes);
      if (!this.#isBroken) frames.push(readWireFrame(bytes));
      this.#bytes = this.#bytes.subarray(length);
    }
    return frames;
  }
}

function isIntact(bytes: Buffer): boolean {
  if (bytes.length < HEADER_BYTES) return false;
  return crc32(bytes.subarray(HEADER_BYTES), crc32(bytes.subarray(CHECKED.from, CHECKED.to))) === bytes.readUInt32BE(CHECKED.to);
}

const unpackr = new Unpackr({ useRecords: false, int64AsType: 'number', mapsAsObjects: false });

/** A payload as stock msgpack has it; maps are Map objects. */
export function unpack(payload: Uint8Array): unknown {
  return unpackr.unpack(payload);
}

/** One change of a batch, with its values by column. */
export interface WireChange {
  readonly table: string;
  readonly op: 'upsert' | 'insert' | 'update' | 'delete';
  readonly values: Readonly<Record<string, unknown>>;
}

const OPS = ['upsert', 'insert', 'update', 'delete'] as const;

/** The changes of a BATCH payload in their order. */
export function changesOf(payload: Uint8Array): WireChange[] {
  const batch = unpack(payload) as Map<string, unknown>;
  const groups = batch.get('c') as [string, number, number, string[], unknown[][]][];
  return groups.flatMap(([table, op, , columns, rows]) =>
    rows.map((row) => ({ table, op: OPS[op]!, values: Object.fromEntries(columns.map((column, i) => [column, row[i]])) })),
  );
}
