import { isIPv4, isIPv6 } from 'node:net';
import { SyncError } from '../core/errors.ts';
import { plainAddress } from './address-ranges.ts';

/** What a balancer says about a connection before the first byte of the client. */
export interface ProxyHeader {
  /** Its length: what follows is the client's. */
  readonly bytes: number;
  /** The client's address; undefined when the balancer speaks for itself, as in a health check, or does not know. */
  readonly source: string | undefined;
}

/** More than balancers send, TLVs included: nothing longer is waited for, whatever length it announces. */
export const MAX_PROXY_HEADER_BYTES = 4_096;

/**
 * Reads the header of the PROXY protocol, version 2 (binary) or 1 (a line of text), from the begin of what was received.
 * Allocates nothing by what the header announces. Returns undefined until more has come.
 * @throws {SyncError} `bad_proxy_header` as soon as it cannot become one.
 */
export function readProxyHeader(received: Uint8Array): ProxyHeader | undefined {
  const bytes = Buffer.from(received.buffer, received.byteOffset, received.byteLength);
  if (beginsLike(bytes, SIGNATURE)) return bytes.length < FIXED_BYTES ? undefined : readBinary(bytes);
  if (beginsLike(bytes, LINE_BEGIN)) return readLine(bytes);
  throw bad('the connection does not begin with a PROXY protocol header');
}

/** Version 2, byte for byte: signature, version and command, family and transport, length of what follows. */
const SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');
const FIXED_BYTES = 16;
const LOCAL = 0x20;
const PROXY = 0x21;
const TLV_CRC32C = 0x03;

/** Version 1. */
const LINE_BEGIN = Buffer.from('PROXY ');
const MAX_LINE_BYTES = 107;

/** The families and transports that can be served: how long the two addresses with their ports are, and which is the client's. */
const FAMILIES: Readonly<Record<number, { readonly bytes: number; readonly source: (addresses: Buffer) => string }>> = {
  0x11: { bytes: 12, source: (addresses) => addresses.subarray(0, 4).join('.') },
  0x21: { bytes: 36, source: (addresses) => plainAddress(groupsOf(addresses)) },
};
const UNSPECIFIED = 0x00;

function beginsLike(bytes: Buffer, expected: Buffer): boolean {
  const count = Math.min(bytes.length, expected.length);
  return bytes.compare(expected, 0, count, 0, count) === 0;
}

function readBinary(bytes: Buffer): ProxyHeader | undefined {
  const [command, code, total] = [bytes[12]!, bytes[13]!, FIXED_BYTES + bytes.readUInt16BE(14)];
  if (command !== LOCAL && command !== PROXY) throw bad(`version and command are 0x${hex(command)}, not 0x20 or 0x21`);
  if (total > MAX_PROXY_HEADER_BYTES) throw bad(`the header announces ${total} bytes; at most ${MAX_PROXY_HEADER_BYTES} are accepted`);
  if (command === LOCAL || code === UNSPECIFIED) {
    // Of such a header everything but its length is to be ignored.
    return bytes.length < total ? undefined : { bytes: total, source: undefined };
  }
  const family = FAMILIES[code];
  if (family === undefined) {
    throw bad(`family and transport are 0x${hex(code)}; only TCP over IPv4 (0x11) and over IPv6 (0x21) can be served`);
  }
  const tlvs = FIXED_BYTES + family.bytes;
  if (total < tlvs) throw bad(`the header announces ${total} bytes, and its addresses end at ${tlvs}`);
  if (bytes.length < total) return undefined;
  checkTlvs(bytes.subarray(0, total), tlvs);
  return { bytes: total, source: family.source(bytes.subarray(FIXED_BYTES, tlvs)) };
}

/** Everything after the addresses is skipped but for the checksum, if there is one. */
function checkTlvs(header: Buffer, start: number): void {
  for (let at = start; at < header.length;) {
    const end = at + 3 <= header.length ? at + 3 + header.readUInt16BE(at + 1) : Infinity;
    if (end > header.length) throw bad('a TLV goes beyond the end of the header');
    if (header[at] === TLV_CRC32C) checkChecksum(header, at + 3, end);
    at = end;
  }
}

function checkChecksum(header: Buffer, at: number, end: number): void {
  if (end - at !== 4) throw bad('the checksum in the header does not have 4 bytes');
  // It covers the whole header, with zeros in its own place.
  const zeroed = Buffer.from(header);
  zeroed.fill(0, at, end);
  if (header.readUInt32BE(at) !== crc32c(zeroed)) throw bad('the checksum of the header is wrong');
}

/** Castagnoli's polynomial, which zlib does not have; a header is short. */
function crc32c(bytes: Uint8Array): number {
  let crc = 0xffff_ffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f6_3b78 : 0);
  }
  return (crc ^ 0xffff_ffff) >>> 0;
}

function readLine(bytes: Buffer): ProxyHeader | undefined {
  const line = bytes.subarray(0, MAX_LINE_BYTES);
  const end = line.indexOf('\r\n');
  if (end < 0) {
    if (line.length === MAX_LINE_BYTES) throw bad(`the header is a line that does not end within ${MAX_LINE_BYTES} bytes`);
    return undefined;
  }
  const text = line.toString('latin1', 0, end);
  if (/^PROXY UNKNOWN( |$)/.test(text)) return { bytes: end + 2, source: undefined };
  const [, family, source = '', target = ''] = /^PROXY (TCP[46]) ([0-9a-fA-F:.]+) ([0-9a-fA-F:.]+) \d{1,5} \d{1,5}$/.exec(text) ?? [];
  const isAddress = family === 'TCP4' ? isIPv4 : isIPv6;
  if (family === undefined || !isAddress(source) || !isAddress(target))
    throw bad('the header is a line that names no two addresses of TCP');
  return { bytes: end + 2, source: plainAddress(source) };
}

function groupsOf(bytes: Buffer): string {
  return Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(i * 2).toString(16)).join(':');
}

function hex(byte: number): string {
  return byte.toString(16).padStart(2, '0');
}

function bad(message: string): SyncError {
  return new SyncError('bad_proxy_header', message);
}
