import { crc32 } from 'node:zlib';
import type { Random } from '../../core/random.ts';
import { SyncError } from '../../core/errors.ts';
import type { Place, StreamId } from '../../core/stream.ts';
import { ELEMENT_KINDS, MAX_PRODUCER_BYTES, FRAME_PLACE_BYTES } from '../element.ts';
import type { AppendEntry, AppendResult, Floor, ListedMember, MemberList } from '../queue.ts';

/** What travels between this node and the scripts, as their first comment lays it out: few large arguments, because each costs a microsecond. */

const VERDICTS: readonly AppendResult['verdict'][] = ['append', 'duplicate', 'gap', 'mismatch', 'owned_by_other'];
const RANDOM_BYTES = 8;
const RUN_BYTES = 23;
const FRAME_BYTES = 8;
const REFUSED_BYTES = 21;
const PLACE_BYTES = 12;
const PLACED_STREAM_BYTES = 32 + PLACE_BYTES;
const TWO_32 = 2 ** 32;
const NOTHING = new Uint8Array();

/**
 * Which frames are kept apart from the list: those above `frameBytes`, where they are `callBytes` together in one call. Lua reads
 * every byte of a frame in a list several times, 4 ns for each byte; a command of its own costs 15 µs of Redis and 10 µs of this node.
 */
export interface ApartLimits {
  readonly frameBytes: number;
  readonly callBytes: number;
}

export const APART_LIMITS: ApartLimits = { frameBytes: 1024, callBytes: 8 * 1024 };

/** What `append.lua` is given of entries, and what it is not. */
export interface PackedEntries {
  /** Its arguments behind the settings. */
  readonly args: readonly [streams: Buffer, runs: Buffer, frames: Buffer, contents: Buffer];
  /** The 8 random bytes of the elements. */
  readonly random: Buffer;
  /** The frames that are to be kept apart, one after the other. */
  readonly apart: readonly Uint8Array[];
}

/**
 * Entries of one stream and producer that follow one another, so that all but the first need not be judged. What is no frame
 * in its element has a check of its own, and so it is a run of its own.
 */
interface Run {
  readonly stream: PackedStream;
  readonly kind: (typeof ELEMENT_KINDS)[number];
  readonly first: AppendEntry;
  /** What the check covers beyond {@link PackedStream.covered}. */
  readonly rest: Uint8Array;
  count: number;
}

interface PackedStream {
  readonly number: number;
  readonly id: StreamId;
  readonly producer: string;
  /** What the check of its elements covers: the random bytes, the kind, the stream, the producer. */
  readonly covered: Buffer;
}

/** Packs entries for one call. */
export function packEntries(entries: readonly AppendEntry[], random: Random, limits: ApartLimits): PackedEntries {
  const maxListedBytes = maxListed(entries, limits);
  const mark = Buffer.allocUnsafe(RANDOM_BYTES);
  random.fill(mark);
  // Says whether something is kept apart: see `apartOf`.
  mark[RANDOM_BYTES - 1] = (mark[RANDOM_BYTES - 1]! & ~1) | (maxListedBytes === Infinity ? 0 : 1);
  const streams: PackedStream[] = [];
  const runs: Run[] = [];
  const frames = Buffer.allocUnsafe(entries.length * FRAME_BYTES);
  const contents = Buffer.allocUnsafe(contentBytes(entries, maxListedBytes));
  const apart: Uint8Array[] = [];
  let at = 0;
  let apartBytes = 0;
  let run: Run | undefined;
  for (let i = 0; i < entries.length; i++) {
    const entry = entries[i]!;
    const { frame } = entry;
    const kind = kindOf(entry, maxListedBytes);
    const start = at;
    if (kind === 'apart') {
      writeU32(contents, at, apartBytes);
      writeU32(contents, at + 4, frame.length);
      at += FRAME_PLACE_BYTES;
      apart.push(frame);
      apartBytes += frame.length;
    } else {
      contents.set(frame, at);
      at += frame.length;
    }
    writeU32(frames, i * FRAME_BYTES, at - start);
    writeU32(frames, i * FRAME_BYTES + 4, entry.crc);
    if (kind === 'frame' && run?.kind === 'frame' && follows(entry, entries[i - 1]!)) run.count++;
    else {
      const rest = kind === 'frame' ? NOTHING : contents.subarray(start, at);
      runs.push((run = { stream: streamOf(entry, streams, mark), kind, first: entry, rest, count: 1 }));
    }
  }
  return {
    args: [Buffer.concat(streams.flatMap(packStream)), packRuns(runs, mark), frames, contents],
    random: mark,
    apart,
  };
}

/** What became of each of `entries`: the reply names those that were not appended. */
export function unpackResults(reply: Buffer, entries: readonly AppendEntry[]): AppendResult[] {
  const results: AppendResult[] = [];
  let refusedAt = 0;
  while (results.length < entries.length) {
    const next = refusedAt < reply.length ? reply.readUInt32BE(refusedAt) : entries.length;
    for (let i = results.length; i < next; i++) {
      const { seq, crc } = entries[i]!;
      results.push({ verdict: 'append', stored: { seq, crc } });
    }
    if (refusedAt === reply.length) break;
    const result = { verdict: VERDICTS[reply[refusedAt + 8]!]!, stored: readPlace(reply, refusedAt + 9) };
    for (let left = reply.readUInt32BE(refusedAt + 4); left > 0; left--) results.push(result);
    refusedAt += REFUSED_BYTES;
  }
  return results;
}

/** Whether the script stored any of `count` entries, by its reply. */
export function hasAppended(reply: Buffer, count: number): boolean {
  let refused = 0;
  for (let at = 0; at < reply.length; at += REFUSED_BYTES) refused += reply.readUInt32BE(at + 4);
  return refused < count;
}

function maxListed(entries: readonly AppendEntry[], { frameBytes, callBytes }: ApartLimits): number {
  let bytes = 0;
  for (const entry of entries) if (kindOf(entry, frameBytes) === 'apart') bytes += entry.frame.length;
  return bytes < callBytes ? Infinity : frameBytes;
}

function kindOf({ kind, frame }: AppendEntry, maxListedBytes: number): Run['kind'] {
  return kind === 'frame' && frame.length > maxListedBytes ? 'apart' : kind;
}

function contentBytes(entries: readonly AppendEntry[], maxListedBytes: number): number {
  let bytes = 0;
  for (const entry of entries) bytes += kindOf(entry, maxListedBytes) === 'apart' ? FRAME_PLACE_BYTES : entry.frame.length;
  return bytes;
}

function follows(entry: AppendEntry, before: AppendEntry): boolean {
  return entry.seq === before.seq + 1 && entry.prev === before.crc && entry.stream === before.stream && entry.producer === before.producer;
}

function streamOf({ stream: id, producer }: AppendEntry, streams: PackedStream[], marks: Buffer): PackedStream {
  const known = streams.find((one) => one.id === id && one.producer === producer);
  if (known !== undefined) return known;
  const covered = Buffer.concat([marks, Buffer.of(0), Buffer.from(id, 'hex'), producerBytes(producer)]);
  const made = { number: streams.length + 1, id, producer, covered };
  streams.push(made);
  return made;
}

function packStream({ id, covered }: PackedStream): Buffer[] {
  return [Buffer.from(id, 'latin1'), covered.subarray(RANDOM_BYTES + 1)];
}

function packRuns(runs: readonly Run[], marks: Buffer): Buffer {
  const packed = Buffer.allocUnsafe(RANDOM_BYTES + runs.length * RUN_BYTES);
  packed.set(marks);
  let at = RANDOM_BYTES;
  for (const { stream, kind: name, first, rest, count } of runs) {
    const kind = ELEMENT_KINDS.indexOf(name);
    stream.covered[RANDOM_BYTES] = kind;
    packed.writeUInt16BE(stream.number, at);
    writePlace(packed, at + 2, first.seq, first.prev);
    packed[at + 14] = kind;
    packed.writeUInt32BE(count, at + 15);
    packed.writeUInt32BE(crc32(rest, crc32(stream.covered)), at + 19);
    at += RUN_BYTES;
  }
  return packed;
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

function writeU32(target: Buffer, offset: number, value: number): void {
  target[offset] = value >>> 24;
  target[offset + 1] = value >>> 16;
  target[offset + 2] = value >>> 8;
  target[offset + 3] = value;
}

function readPlace(source: Buffer, offset: number): Place {
  return { seq: source.readUInt32BE(offset) * TWO_32 + source.readUInt32BE(offset + 4), crc: source.readUInt32BE(offset + 8) };
}
