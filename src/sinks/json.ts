import { isoNanoseconds } from '../core/partition.ts';
import { Timestamp, type Value } from '../core/change.ts';

/**
 * A value as JSON text, for JSON columns and for people. Integers beyond 2^53 keep all their digits, bytes become a
 * base64 string and timestamps ISO 8601 in UTC with nine decimals: JSON has no type for either.
 * @throws {TypeError} for a timestamp outside the years 0 to 9999.
 */
export function jsonText(value: Value): string {
  if (value === null || typeof value === 'boolean' || typeof value === 'number' || typeof value === 'bigint') return String(value);
  if (typeof value === 'string') return JSON.stringify(value);
  if (value instanceof Uint8Array) return `"${Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64')}"`;
  if (value instanceof Timestamp) return `"${isoNanoseconds(value)}"`;
  if (isArray(value)) return `[${value.map(jsonText).join(',')}]`;
  return `{${Object.entries(value)
    .map(([key, member]) => `${JSON.stringify(key)}:${jsonText(member)}`)
    .join(',')}}`;
}

function isArray(value: Value): value is readonly Value[] {
  return Array.isArray(value);
}
