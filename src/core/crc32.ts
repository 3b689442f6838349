// Hot path
import { nativeCrc32 } from './platform.ts';

/**
 * CRC-32 (as in zlib) of `bytes` from `start` to `end`, going on from `crc`, the CRC of what comes before it.
 *
 * A call into zlib and the view that it needs take longer than a frame of one change: 350 ns for 124 bytes, against 130 ns here
 * (`npm run bench -- --micro frames`). From some 300 bytes on zlib is faster.
 */
export function crc32Of(bytes: Uint8Array, start: number, end: number, crc = 0): number {
  if (end - start > MAX_OWN_BYTES && nativeCrc32 !== undefined) return nativeCrc32(bytes.subarray(start, end), crc);
  let c = ~crc;
  let i = start;
  for (; i + 8 <= end; i += 8) {
    const word = c ^ (bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24));
    c =
      TABLES[1792 + (word & 255)]! ^
      TABLES[1536 + ((word >>> 8) & 255)]! ^
      TABLES[1280 + ((word >>> 16) & 255)]! ^
      TABLES[1024 + (word >>> 24)]! ^
      TABLES[768 + bytes[i + 4]!]! ^
      TABLES[512 + bytes[i + 5]!]! ^
      TABLES[256 + bytes[i + 6]!]! ^
      TABLES[bytes[i + 7]!]!;
  }
  for (; i < end; i++) c = (c >>> 8) ^ TABLES[(c ^ bytes[i]!) & 255]!;
  return ~c >>> 0;
}

const MAX_OWN_BYTES = 256;
const POLYNOMIAL = 0xedb88320;
/** Eight tables of 256: what a byte does to the CRC when 0 to 7 bytes follow it. */
const TABLES = createTables();

function createTables(): Int32Array {
  const tables = new Int32Array(8 * 256);
  for (let byte = 0; byte < 256; byte++) {
    let c = byte;
    for (let bit = 0; bit < 8; bit++) c = c & 1 ? (c >>> 1) ^ POLYNOMIAL : c >>> 1;
    tables[byte] = c;
  }
  for (let i = 256; i < tables.length; i++) tables[i] = (tables[i - 256]! >>> 8) ^ tables[tables[i - 256]! & 255]!;
  return tables;
}
