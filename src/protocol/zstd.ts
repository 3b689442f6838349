// Not by name: an older Node.js could not even load this module, and `connect` could not say what is wrong.
import zlib from 'node:zlib';
import { SyncError } from '../core/errors.ts';

/**
 * Expands what must be a single zstd frame that declares its content size, with nothing after it.
 * @throws {SyncError} `malformed_payload`, or `payload_too_large` when it declares more than `maxBytes`.
 */
export function expandZstd(payload: Uint8Array, maxBytes: number): Uint8Array {
  const contentBytes = readZstdFrame(payload);
  if (contentBytes > maxBytes) {
    throw new SyncError('payload_too_large', `a compressed payload declares ${contentBytes} bytes; at most ${maxBytes} are accepted`);
  }
  let expanded: Buffer;
  try {
    expanded = zlib.zstdDecompressSync(payload, { maxOutputLength: Math.max(contentBytes, 1), chunkSize: chunkBytes(contentBytes) });
  } catch (cause) {
    throw new SyncError('malformed_payload', `a compressed payload does not expand to the ${contentBytes} bytes that it declares`, {
      cause,
    });
  }
  if (expanded.length !== contentBytes) {
    throw new SyncError('malformed_payload', `a compressed payload expands to ${expanded.length} bytes and declares ${contentBytes}`);
  }
  return expanded;
}

/** Output is collected in pieces, so that memory follows what is there and not what is declared. */
function chunkBytes(contentBytes: number): number {
  return Math.min(Math.max(contentBytes, 64), 256 * 1024);
}

/** Checks that `bytes` are exactly one zstd frame (RFC 8878) and returns the content size that it declares. */
function readZstdFrame(bytes: Uint8Array): number {
  if (bytes.length < 6 || readLE(bytes, 0, 4) !== ZSTD_MAGIC) throw malformed('is not a zstd frame');
  const descriptor = bytes[4]!;
  if ((descriptor & 0x08) !== 0) throw malformed('sets a reserved bit');
  if ((descriptor & 0x03) !== 0) throw malformed('needs a dictionary');
  const singleSegment = (descriptor & 0x20) !== 0;
  const checksumBytes = (descriptor & 0x04) === 0 ? 0 : 4;
  const sizeFlag = descriptor >>> 6;
  if (sizeFlag === 0 && !singleSegment) throw malformed('does not declare its content size');
  const sizeBytes = sizeFlag === 0 ? 1 : 1 << sizeFlag;
  const sizeAt = singleSegment ? 5 : 6;
  const blocksAt = sizeAt + sizeBytes;
  if (blocksAt > bytes.length) throw malformed('ends early');
  const contentBytes = readLE(bytes, sizeAt, sizeBytes) + (sizeFlag === 1 ? 256 : 0);
  const end = skipBlocks(bytes, blocksAt) + checksumBytes;
  if (end > bytes.length) throw malformed('ends early');
  if (end < bytes.length) throw malformed(`is followed by ${bytes.length - end} bytes`);
  return contentBytes;
}

function skipBlocks(bytes: Uint8Array, start: number): number {
  let at = start;
  for (;;) {
    if (at + 3 > bytes.length) throw malformed('ends early');
    const header = readLE(bytes, at, 3);
    const type = (header >>> 1) & 3;
    if (type === 3) throw malformed('has a block of a reserved type');
    at += 3 + (type === ZSTD_BLOCK_RLE ? 1 : header >>> 3);
    if ((header & 1) === 1) return at;
  }
}

function readLE(bytes: Uint8Array, at: number, byteCount: number): number {
  let value = 0;
  for (let i = byteCount - 1; i >= 0; i--) value = value * 256 + bytes[at + i]!;
  return value;
}

function malformed(what: string): SyncError {
  return new SyncError('malformed_payload', `a compressed payload ${what}`);
}

const ZSTD_MAGIC = 0xfd2fb528;
const ZSTD_BLOCK_RLE = 1;
