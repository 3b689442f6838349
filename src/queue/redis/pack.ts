import { crc32 } from 'node:zlib';
import type { Random } from '../../core/random.ts';
import { SyncError } from '../../core/errors.ts';
import type { Place, StreamId } from '../../core/stream.ts';
import { ELEMENT_KINDS, MAX_PRODUCER_BYTES } from '../element.ts';
import type { AppendEntry, AppendResult, Floor, ListedMember, MemberList } from '../queue.ts';

/** What travels between this node and the scripts, as their first comment lays it out: few large arguments, because each costs a microsecond. */

const VERDICTS: readonly AppendResult['verdict'][] = ['append', 'duplicate', 'gap', 'mismatch', 'owned_by_other'];
const ENTRY_BYTES = 31;
/** Random bytes and kind. */
const MARK_BYTES = 9;
const RESULT_BYTES = 13;
const PLACE_BYTES = 12;
const PLACED_STREAM_BYTES = 32 + PLACE_BYTES;
const TWO_32 = 2 ** 32;

export interface PackedEntries {
  readonly streams: Buffer;
  readonly entries: Buffer;
  readonly frames: readonly Buffer[];
}

export function packEntries(entries: readonly AppendEntry[], random: Random): PackedEntries {
  // By stream and producer: its number, and what the CRC of an element covers, whose first bytes are written anew for each.
  const numbered = new Map<string, { readonly number: number; readonly covered: Buffer }>();
  const streams: Buffer[] = [];
  const packed = Buffer.alloc(entries.length * ENTRY_BYTES);
  const frames: Buffer[] = [];
  const randoms = Buffer.alloc(entries.length * 8);
  random.fill(randoms);
  let at = 0;
  for (const entry of entries) {
    const name = entry.stream + entry.producer;
    let stream = numbered.get(name);
    if (stream === undefined) {
      const covered = Buffer.concat([Buffer.alloc(MARK_BYTES), Buffer.from(entry.stream, 'hex'), producerBytes(entry.producer)]);
      streams.push(Buffer.from(entry.stream, 'latin1'), covered.subarray(MARK_BYTES));
      stream = { number: numbered.size + 1, covered };
      numbered.set(name, stream);
    }
    const { number, covered } = stream;
    covered.set(randoms.subarray(frames.length * 8, frames.length * 8 + 8));
    covered[MARK_BYTES - 1] = ELEMENT_KINDS.indexOf(entry.kind);
    packed.writeUInt16BE(number, at);
    writePlace(packed, at + 2, entry.seq, entry.prev);
    packed.writeUInt32BE(entry.crc, at + 14);
    packed.set(covered.subarray(0, MARK_BYTES), at + 18);
    const crc = crc32(covered);
    packed.writeUInt32BE(entry.kind === 'refusal' ? crc32(entry.frame, crc) : crc, at + 27);
    frames.push(Buffer.from(entry.frame.buffer, entry.frame.byteOffset, entry.frame.byteLength));
    at += ENTRY_BYTES;
  }
  return { streams: Buffer.concat(streams), entries: packed, frames };
}

export function unpackResults(reply: Buffer): AppendResult[] {
  const results: AppendResult[] = [];
  for (let at = 0; at < reply.length; at += RESULT_BYTES) {
    results.push({ verdict: VERDICTS[reply[at] as number] as AppendResult['verdict'], stored: readPlace(reply, at + 1) });
  }
  return results;
}

/** Whether the script stored anything, by its reply. */
export function hasAppended(reply: unknown): boolean {
  return unpackResults(reply as Buffer).some(({ verdict }) => verdict === 'append');
}

export function packFloors(floors: readonly Floor[]): Buffer {
  return Buffer.concat(floors.flatMap((floor) => [packStreamAt(floor.stream, floor.place), producerBytes(floor.producer)]));
}

export function unpackPlaces(reply: Buffer): Place[] {
  const places: Place[] = [];
  for (let at = 0; at < reply.length; at += PLACE_BYTES) places.push(readPlace(reply, at));
  return places;
}

/** 32 bytes of hex, u64 seq, u32 crc. */
export function packStreamAt(stream: StreamId, place: Place): Buffer {
  const packed = Buffer.alloc(PLACED_STREAM_BYTES);
  packed.write(stream, 0, 32, 'latin1');
  writePlace(packed, 32, place.seq, place.crc);
  return packed;
}

/** The reply of `member.lua`. */
export function unpackMembers([now, listed, ...rest]: readonly [Buffer, number, ...Buffer[]]): MemberList {
  const texts = rest.map(String);
  const members: ListedMember[] = [];
  for (let at = 0; at + 4 < texts.length; at += 5) {
    const [name, incarnation, age, left, about] = texts.slice(at, at + 5) as [string, string, string, string, string];
    members.push({ name, incarnation, about, ageMs: Number(age), leftMs: Number(left) });
  }
  return { nowMs: Number(now), wasListed: listed === 1, members };
}

/** Reads a value of the hash of streams: `seq crc ordinal producer`. @throws {SyncError} `newer_format` */
export function parseStreamRecord(text: string): Place {
  const [, seq, crc] = /^(\d+) (\d+) \d+ /.exec(text) ?? [];
  if (seq === undefined) throw new SyncError('newer_format', 'a stream is recorded in the queue in a form that this version does not know');
  return { seq: Number(seq), crc: Number(crc) };
}

function producerBytes(producer: string): Buffer {
  const name = Buffer.from(producer, 'utf8');
  if (name.length > MAX_PRODUCER_BYTES) throw new RangeError(`producer name takes ${name.length} bytes, more than ${MAX_PRODUCER_BYTES}`);
  return Buffer.concat([Buffer.of(name.length), name]);
}

function writePlace(target: Buffer, offset: number, seq: number, crc: number): void {
  target.writeUInt32BE(Math.floor(seq / TWO_32), offset);
  target.writeUInt32BE(seq % TWO_32, offset + 4);
  target.writeUInt32BE(crc, offset + 8);
}

function readPlace(source: Buffer, offset: number): Place {
  return { seq: source.readUInt32BE(offset) * TWO_32 + source.readUInt32BE(offset + 4), crc: source.readUInt32BE(offset + 8) };
}
