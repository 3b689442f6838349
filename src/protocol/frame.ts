import { assert } from '../core/assert.ts';
import { crc32Of } from '../core/crc32.ts';
import { SyncError } from '../core/errors.ts';
import { allocate } from '../core/platform.ts';

/** Frame types. 0x10 … 0x1f are reserved. */
export const FRAME = {
  hello: 0x01,
  welcome: 0x02,
  batch: 0x03,
  stored: 0x04,
  applied: 0x05,
  rewind: 0x06,
  rejected: 0x07,
  credit: 0x08,
  ping: 0x09,
  pong: 0x0a,
  goaway: 0x0b,
  error: 0x0c,
  bye: 0x0d,
} as const;

/** What {@link encodeFrame} writes; everything that is left out is 0 or empty. */
export interface FrameFields {
  readonly type: number;
  readonly flags?: number;
  readonly partition?: number;
  readonly seq?: number;
  readonly prev?: number;
  readonly payload?: Uint8Array;
}

/** The header of a frame without its length. */
export interface FrameHeader {
  readonly type: number;
  readonly flags: number;
  readonly partition: number;
  readonly seq: number;
  readonly prev: number;
  readonly crc: number;
}

/** One whole frame that passed every check of its header. */
export interface Frame extends FrameHeader {
  /** As it was sent; a view on {@link bytes}. */
  readonly payload: Uint8Array;
  /** Header and payload. */
  readonly bytes: Uint8Array;
}

export const HEADER_BYTES = 24;
/** The least value of the length field, which counts what follows it. */
export const MIN_LENGTH = 20;
/** BATCH: the payload is one zstd frame with a declared content size. */
export const FLAG_ZSTD = 1;
/** Limits of whole frames: until HELLO is accepted, and after it unless WELCOME says otherwise. */
export const PRE_AUTH_FRAME_BYTES = 4096;
export const DEFAULT_MAX_FRAME_BYTES = 4 * 1024 * 1024;
/** PING and PONG carry at most this much. */
export const MAX_PING_BYTES = 64;

/** Writes a frame into memory of its own. What a type allows is the caller's business; {@link readFrame} checks it. */
export function encodeFrame(fields: FrameFields): Uint8Array {
  const { type, flags = 0, partition = 0, seq = 0, prev = 0, payload } = fields;
  const payloadBytes = payload === undefined ? 0 : payload.length;
  assert(Number.isSafeInteger(seq) && seq >= 0, `seq ${seq} is not a sequence number`);
  const bytes = allocate(HEADER_BYTES + payloadBytes);
  writeU32(bytes, MIN_LENGTH + payloadBytes, 0);
  bytes[4] = type;
  bytes[5] = flags;
  bytes[6] = partition >>> 8;
  bytes[7] = partition;
  writeU32(bytes, Math.floor(seq / TWO_32), 8);
  writeU32(bytes, seq >>> 0, 12);
  writeU32(bytes, prev, 16);
  if (payload !== undefined) bytes.set(payload, HEADER_BYTES);
  writeU32(bytes, checksum(bytes), 20);
  return bytes;
}

/**
 * Reads exactly one whole frame and checks everything about it but its payload.
 * @throws {SyncError} `frame_too_small`, `bad_crc`, `unknown_type`, `bad_flags` or `bad_frame`.
 */
export function readFrame(bytes: Uint8Array): Frame {
  if (bytes.length < HEADER_BYTES) {
    throw new SyncError('frame_too_small', `a frame has ${bytes.length} bytes; the header alone takes ${HEADER_BYTES}`);
  }
  const length = readU32(bytes, 0);
  checkLength(length);
  if (length + 4 !== bytes.length) {
    throw new SyncError('bad_frame', `a frame announces ${length + 4} bytes in all and has ${bytes.length}`);
  }
  const computed = checksum(bytes);
  if (computed !== readU32(bytes, 20)) {
    throw new SyncError(
      'bad_crc',
      `a frame of type ${hex(bytes[4]!)} carries crc32 ${hex(readU32(bytes, 20))}, its bytes give ${hex(computed)}`,
    );
  }
  const header = readHeader(bytes);
  checkHeader(header, bytes.length - HEADER_BYTES);
  return {
    type: header.type,
    flags: header.flags,
    partition: header.partition,
    seq: header.seq,
    prev: header.prev,
    crc: header.crc,
    payload: bytes.subarray(HEADER_BYTES),
    bytes,
  };
}

/**
 * Reads the 24 header bytes alone, with no check but that of `seq`: for headers that are kept without their payload.
 * @throws {SyncError} `frame_too_small` or `bad_frame`.
 */
export function readHeader(bytes: Uint8Array): FrameHeader {
  if (bytes.length < HEADER_BYTES) {
    throw new SyncError('frame_too_small', `a frame header takes ${HEADER_BYTES} bytes, ${bytes.length} are there`);
  }
  const high = readU32(bytes, 8);
  const low = readU32(bytes, 12);
  // Beyond 2^53 − 1 a seq would lose digits; a stream that counts every microsecond gets there in 285 years.
  if (high > 0x1f_ffff) throw new SyncError('bad_frame', `seq ${(BigInt(high) << 32n) | BigInt(low)} is above 2^53 − 1`);
  return {
    type: bytes[4]!,
    flags: bytes[5]!,
    partition: (bytes[6]! << 8) | bytes[7]!,
    seq: high * TWO_32 + low,
    prev: readU32(bytes, 16),
    crc: readU32(bytes, 20),
  };
}

/** The crc field of a whole frame: what the next frame of the stream names in `prev`. */
export function frameCrc(bytes: Uint8Array): number {
  assert(bytes.length >= HEADER_BYTES, 'a frame has at least a header');
  return readU32(bytes, 20);
}

/** @throws {SyncError} `frame_too_small` for a length field that cannot be. */
export function checkLength(length: number): void {
  if (length < MIN_LENGTH) {
    throw new SyncError(
      'frame_too_small',
      `a frame announces a length of ${length}; it counts the 20 header bytes after itself and the payload`,
    );
  }
}

/** The name of a frame type as the documentation writes it, for messages and logs. */
export function frameName(type: number): string {
  return RULES.get(type)?.name ?? `type ${hex(type)}`;
}

interface HeaderRule {
  readonly name: string;
  /** The least `seq`; undefined where partition and seq must be 0. */
  readonly minSeq?: number;
  readonly prev?: true;
  readonly flags?: number;
  readonly maxPayloadBytes?: number;
}

/** What each type allows in its header: the table of types in `docs/protocol.md`. */
const RULES: ReadonlyMap<number, HeaderRule> = new Map<number, HeaderRule>([
  [FRAME.hello, { name: 'HELLO' }],
  [FRAME.welcome, { name: 'WELCOME' }],
  [FRAME.batch, { name: 'BATCH', minSeq: 1, prev: true, flags: FLAG_ZSTD }],
  [FRAME.stored, { name: 'STORED', minSeq: 0, prev: true, maxPayloadBytes: 0 }],
  [FRAME.applied, { name: 'APPLIED', minSeq: 0, prev: true, maxPayloadBytes: 0 }],
  [FRAME.rewind, { name: 'REWIND', minSeq: 1 }],
  [FRAME.rejected, { name: 'REJECTED', minSeq: 1 }],
  [FRAME.credit, { name: 'CREDIT' }],
  [FRAME.ping, { name: 'PING', maxPayloadBytes: MAX_PING_BYTES }],
  [FRAME.pong, { name: 'PONG', maxPayloadBytes: MAX_PING_BYTES }],
  [FRAME.goaway, { name: 'GOAWAY' }],
  [FRAME.error, { name: 'ERROR' }],
  [FRAME.bye, { name: 'BYE', maxPayloadBytes: 0 }],
]);

function checkHeader(header: FrameHeader, payloadBytes: number): void {
  const { type, flags, partition, seq, prev } = header;
  const rule = RULES.get(type);
  if (rule === undefined) throw new SyncError('unknown_type', `frame type ${hex(type)} is not known in protocol version 1`);
  if ((flags & ~(rule.flags ?? 0)) !== 0) {
    throw new SyncError('bad_flags', `${rule.name} has flags ${hex(flags)}; only bit 0 (zstd) of BATCH is defined`);
  }
  if (rule.minSeq === undefined) {
    if (partition !== 0 || seq !== 0) {
      throw new SyncError('bad_frame', `${rule.name} has partition ${partition} and seq ${seq}; both must be 0`);
    }
  } else if (seq < rule.minSeq) {
    throw new SyncError('bad_frame', `${rule.name} has seq ${seq}; the first is ${rule.minSeq}`);
  }
  if (prev !== 0 && rule.prev !== true) throw new SyncError('bad_frame', `${rule.name} has prev ${hex(prev)}; it must be 0`);
  if (rule.maxPayloadBytes !== undefined && payloadBytes > rule.maxPayloadBytes) {
    throw new SyncError('bad_frame', `${rule.name} has a payload of ${payloadBytes} bytes; at most ${rule.maxPayloadBytes} are allowed`);
  }
}

const TWO_32 = 0x1_0000_0000;

/** The crc that a whole frame must carry: CRC-32 over bytes 4 to 19 and the payload as sent. */
export function checksum(bytes: Uint8Array): number {
  return crc32Of(bytes, HEADER_BYTES, bytes.length, crc32Of(bytes, 4, 20));
}

function readU32(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}

function writeU32(bytes: Uint8Array, value: number, at: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

function hex(value: number): string {
  return `0x${value.toString(16).padStart(2, '0')}`;
}
