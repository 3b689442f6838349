import type { ChangeGroup } from '../core/change.ts';
import { SyncError } from '../core/errors.ts';
import { MAX_DATAGRAM_BYTES } from '../core/stream.ts';
import { decodeBatch, encodeBatch } from './batch.ts';
import { checksum, encodeFrame, FRAME, HEADER_BYTES, readHeader } from './frame.ts';
import { MsgpackWriter } from './msgpack.ts';
import { isUtf8 } from './value-scan.ts';

/** Bytes of a token in UTF-8: as long as a str with one byte of length can be. */
export const MAX_TOKEN_BYTES = 255;

/** A datagram whose frame is right. */
export interface Datagram {
  readonly token: string;
  /** The payload of a batch, not looked at yet: {@link decodeDatagram} does. */
  readonly payload: Uint8Array;
}

/**
 * Writes a BATCH frame as it travels in a datagram: flags, partition, seq and prev are 0, and the payload's first key is `k`, the token.
 * Rows may belong in any partitions: the server finds them.
 * @throws {TypeError} for what cannot be sent. @throws {SyncError} `frame_too_large` for more than {@link MAX_DATAGRAM_BYTES}.
 */
export function encodeDatagram(token: string, groups: readonly ChangeGroup[]): Uint8Array {
  const tokenBytes = Buffer.byteLength(token, 'utf8');
  if (tokenBytes > MAX_TOKEN_BYTES || !token.isWellFormed())
    throw new TypeError(`a token of ${tokenBytes} bytes is not one; it has at most ${MAX_TOKEN_BYTES}`);
  const batch = encodeBatch({ groups });
  const head = new MsgpackWriter(tokenBytes + 8);
  head.mapHeader(2);
  head.str('k');
  head.str(token);
  // Behind the header of its map.
  const payload = Buffer.concat([head.take(), batch.subarray(1)]);
  const bytes = encodeFrame({ type: FRAME.batch, payload });
  if (bytes.length <= MAX_DATAGRAM_BYTES) return bytes;
  throw new SyncError(
    'frame_too_large',
    `these rows take ${bytes.length} bytes, more than the ${MAX_DATAGRAM_BYTES} of a datagram; divide them`,
  );
}

/**
 * Reads a datagram up to its token, which costs little: whoever sends it is not known yet. `bytes` belongs to the result.
 * @throws {SyncError} of kind `connection`, or `malformed_payload`.
 */
export function readDatagram(bytes: Uint8Array): Datagram {
  const { type, flags, partition, seq, prev, crc } = readHeader(bytes);
  const length = new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0);
  if (length + 4 !== bytes.length)
    throw new SyncError('bad_frame', `a frame announces ${length + 4} bytes in all, in a datagram of ${bytes.length}`);
  if (checksum(bytes) !== crc) throw new SyncError('bad_crc', 'the checksum of the frame in a datagram is wrong');
  if (type !== FRAME.batch) throw new SyncError('unknown_type', `a datagram holds a frame of type ${type}; it must be a BATCH`);
  if (flags !== 0) throw new SyncError('bad_flags', `the frame of a datagram has flags ${flags}; they must be 0`);
  if (partition !== 0 || seq !== 0 || prev !== 0)
    throw new SyncError('bad_frame', 'the frame of a datagram has a place; partition, seq and prev must be 0');
  return splitToken(bytes.subarray(HEADER_BYTES));
}

/** The changes of a datagram. @throws {SyncError} `malformed_payload`. */
export function decodeDatagram({ payload }: Datagram): readonly ChangeGroup[] {
  return decodeBatch(payload).groups;
}

/** Takes `k` off: what is left has the header of its map where the token ended. */
function splitToken(payload: Uint8Array): Datagram {
  const fields = payload[0]! - FIXMAP;
  if (!(fields >= 2 && fields <= MAX_FIELDS) || payload[1] !== FIXSTR + 1 || payload[2] !== KEY_K) throw noToken();
  const type = payload[3] ?? 0;
  let start: number;
  let length: number;
  if (type >= FIXSTR && type < FIXSTR + 32) [start, length] = [4, type - FIXSTR];
  else if (type === STR8) [start, length] = [5, payload[4] ?? 0];
  else throw noToken();
  const end = start + length;
  if (end > payload.length || !isUtf8(payload, start, end)) throw noToken();
  const token = Buffer.from(payload.buffer, payload.byteOffset + start, length).toString('utf8');
  const rest = payload.subarray(end - 1);
  rest[0] = FIXMAP + fields - 1;
  return { token, payload: rest };
}

function noToken(): SyncError {
  return new SyncError('malformed_payload', 'the payload of a datagram is not a map that begins with "k", the token');
}

const FIXMAP = 0x80;
const FIXSTR = 0xa0;
const STR8 = 0xd9;
const KEY_K = 0x6b;
/** `k`, `t`, `o` and `c`. */
const MAX_FIELDS = 4;
