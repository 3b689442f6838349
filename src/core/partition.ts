// Hot path: every row that is written or applied passes here.
import { Timestamp, type Value } from './change.ts';
import { crc32Of } from './crc32.ts';
import { utf8Bytes } from './platform.ts';

/** How rows of a table find their partition. */
export interface PartitionBy {
  /** Tables with the same group and equal values share a partition. */
  readonly group: string;
  /** Columns whose values are hashed, in order; none puts the whole group in one partition. */
  readonly columns: readonly string[];
}

/**
 * The partition of a row: `crc32(utf8(group) ‖ 0x00 ‖ v₁ ‖ v₂ …) mod partitionCount`, each value as its u32 length and
 * its canonical bytes (integers in decimal, strings in UTF-8, bin as it is, timestamps as ISO 8601 in UTC with nine
 * decimals, `true`/`false`). Fixed by `docs/protocol.md`; other languages compute the same.
 * @throws {TypeError} for a value that cannot be hashed: null, a fractional number, an array or an object.
 */
export function partitionOf(group: string, values: readonly Value[], partitionCount: number): number {
  let crc = 0;
  /** Of what is in the scratch and not in the CRC yet. */
  let end = putText(group, 0);
  if (end < 0) {
    crc = crcOf(utf8Bytes(group), 0);
    end = 0;
  }
  scratch[end++] = 0;
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as Value;
    const text = typeof value === 'string' ? value : canonicalText(value);
    const valueAt = end + LENGTH_BYTES;
    const valueEnd = text === undefined ? -1 : putText(text, valueAt);
    if (valueEnd >= 0) {
      putLength(valueEnd - valueAt, end);
      end = valueEnd;
      continue;
    }
    // What does not fit, or is no ASCII.
    const bytes = text === undefined ? (value as Uint8Array) : utf8Bytes(text);
    if (valueAt > SCRATCH_BYTES) {
      crc = crc32Of(scratch, 0, end, crc);
      end = 0;
    }
    putLength(bytes.length, end);
    crc = crcOf(bytes, crc32Of(scratch, 0, end + LENGTH_BYTES, crc));
    end = 0;
  }
  return crc32Of(scratch, 0, end, crc) % partitionCount;
}

const LENGTH_BYTES = 4;
/** As much as the CRC takes at once without a call into the engine. */
const SCRATCH_BYTES = 256;
/** What is hashed, collected: keys are short, and many calls with few bytes cost more than one. */
const scratch = new Uint8Array(SCRATCH_BYTES);

/** Writes ASCII at `at` and returns where it ends; −1 when it does not fit, or is none. */
function putText(text: string, at: number): number {
  if (at + text.length >= SCRATCH_BYTES) return -1;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code >= 0x80) return -1;
    scratch[at++] = code;
  }
  return at;
}

function putLength(byteCount: number, at: number): void {
  scratch[at] = byteCount >>> 24;
  scratch[at + 1] = byteCount >>> 16;
  scratch[at + 2] = byteCount >>> 8;
  scratch[at + 3] = byteCount;
}

function crcOf(bytes: Uint8Array, crc: number): number {
  return crc32Of(bytes, 0, bytes.length, crc);
}

/** Undefined for bytes, which stand for themselves. */
function canonicalText(value: Value): string | undefined {
  if (typeof value === 'number' && Number.isSafeInteger(value)) return value === 0 ? '0' : String(value);
  if (typeof value === 'bigint' || typeof value === 'boolean') return String(value);
  if (value instanceof Uint8Array) return undefined;
  if (value instanceof Timestamp) return isoNanoseconds(value);
  throw new TypeError(`${describe(value)} cannot be part of a key`);
}

/** `2026-11-21T09:30:00.123456789Z`; years outside 0–9999 are refused. */
export function isoNanoseconds(time: Timestamp): string {
  const date = new Date(time.seconds * 1000);
  if (Number.isNaN(date.getTime())) throw new TypeError('a timestamp outside the range of dates cannot be written');
  const year = date.getUTCFullYear();
  if (year < 0 || year > 9999) throw new TypeError(`a timestamp in the year ${year} cannot be written`);
  return `${date.toISOString().slice(0, 19)}.${String(time.nanoseconds).padStart(9, '0')}Z`;
}

/** The same for people: what has no such date is written as seconds since 1970. Never fails. */
export function timeText(time: Timestamp): string {
  try {
    return isoNanoseconds(time);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return `${time.seconds} s and ${time.nanoseconds} ns since 1970`;
  }
}

function describe(value: Value): string {
  if (value === null) return 'null';
  if (typeof value === 'number') return 'a fractional number';
  return Array.isArray(value) ? 'an array' : 'an object';
}
