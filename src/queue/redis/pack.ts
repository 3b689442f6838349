import { crc32 } from 'node:zlib';
import type { Random } from '../../core/random.ts';
import { SyncError } from '../../core/errors.ts';
import type { Place, StreamId } from '../../core/stream.ts';
import { ELEMENT_KINDS, MAX_PRODUCER_BYTES } from '../element.ts';
import type { AppendEntry, AppendResult, Floor, ListedMember, MemberList } from '../queue.ts';

/** What travels between this node and the scripts, as their first comment lays it out: few large arguments, because each costs a microsecond. */

const VERDICTS: readonly AppendResult['verdict'][] = ['append', 'duplicate', 'gap', 'mismatch', 'owned_by_other'];
const RANDOM_BYTES = 8;
const RUN_BYTES = 23;
const FRAME_BYTES = 8;
/** Frames up to this size travel together in one argument; larger ones are not copied for it. */
const MAX_SMALL_BYTES = 1024;
const REFUSED_BYTES = 21;
const PLACE_BYTES = 12;
const PLACED_STREAM_BYTES = 32 + PLACE_BYTES;
const TWO_32 = 2 ** 32;

/** The arguments of `append.lua` behind the settings. */
export interface PackedEntries {
  readonly streams: Buffer;
  readonly runs: Buffer;
  readonly frames: Buffer;
  readonly small: Buffer;
  readonly large: readonly Buffer[];
}

/** Entries of one stream and producer that follow one another, so that all but the first need not be judged. */
interface Run {
  readonly stream: PackedStream;
  readonly first: AppendEntry;
  count: number;
}

interface PackedStream {
  readonly number: number;
  readonly id: StreamId;
  readonly producer: string;
  /** What the check of its elements covers: the random bytes, the kind, the stream, the producer. */
  readonly covered: Buffer;
}

export function packEntries(entries: readonly AppendEntry[], random: Random): PackedEntries {
  const marks = Buffer.allocUnsafe(RANDOM_BYTES);
  random.fill(marks);
  const streams: PackedStream[] = [];
  const runs: Run[] = [];
  const frames = Buffer.allocUnsafe(entries.length * FRAME_BYTES);
  const small = Buffer.allocUnsafe(smallBytes(entries));
  const large: Buffer[] = [];
  let smallAt = 0;
  let before: AppendEntry | undefined;
  let run: Run | undefined;
  for (let i = 0; i < entries.length; i++) {
    const entry = entries[i]!;
    const { frame } = entry;
    writeU32(frames, i * FRAME_BYTES, frame.length);
    writeU32(frames, i * FRAME_BYTES + 4, entry.crc);
    if (frame.length > MAX_SMALL_BYTES) large.push(Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength));
    else {
      small.set(frame, smallAt);
      smallAt += frame.length;
    }
    if (run !== undefined && follows(entry, before!)) run.count++;
    else runs.push((run = { stream: streamOf(entry, streams, marks), first: entry, count: 1 }));
    before = entry;
  }
  return { streams: Buffer.concat(streams.flatMap(packStream)), runs: packRuns(runs, marks), frames, small, large };
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

function smallBytes(entries: readonly AppendEntry[]): number {
  let bytes = 0;
  for (const { frame } of entries) if (frame.length <= MAX_SMALL_BYTES) bytes += frame.length;
  return bytes;
}

/** The check of a refusal covers what it holds, so it is a run of its own. */
function follows(entry: AppendEntry, before: AppendEntry): boolean {
  return (
    entry.seq === before.seq + 1 &&
    entry.prev === before.crc &&
    entry.stream === before.stream &&
    entry.producer === before.producer &&
    entry.kind === 'frame' &&
    before.kind === 'frame'
  );
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
  for (const { stream, first, count } of runs) {
    const kind = ELEMENT_KINDS.indexOf(first.kind);
    stream.covered[RANDOM_BYTES] = kind;
    const crc = crc32(stream.covered);
    packed.writeUInt16BE(stream.number, at);
    writePlace(packed, at + 2, first.seq, first.prev);
    packed[at + 14] = kind;
    packed.writeUInt32BE(count, at + 15);
    packed.writeUInt32BE(first.kind === 'refusal' ? crc32(first.frame, crc) : crc, at + 19);
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
