import { crc32 } from 'node:zlib';
import { Timestamp, type Value } from './change.ts';

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
  let crc = crc32(group);
  crc = crc32(ZERO, crc);
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as Value;
    const bytes = typeof value === 'string' ? Buffer.from(value, 'utf8') : canonicalBytes(value);
    lengthBytes.writeUInt32BE(bytes.length, 0);
    crc = crc32(bytes, crc32(lengthBytes, crc));
  }
  return crc % partitionCount;
}

const ZERO = Buffer.alloc(1);
const lengthBytes = Buffer.alloc(4);

function canonicalBytes(value: Value): Uint8Array {
  if (typeof value === 'number' && Number.isSafeInteger(value)) return Buffer.from(value === 0 ? '0' : String(value));
  if (typeof value === 'bigint' || typeof value === 'boolean') return Buffer.from(String(value));
  if (value instanceof Uint8Array) return value;
  if (value instanceof Timestamp) return Buffer.from(isoNanoseconds(value));
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
