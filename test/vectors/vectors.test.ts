import { readFileSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { Unpackr } from 'msgpackr';
import { describe, expect, test } from 'vitest';
import { type Batch, type Op, Timestamp, type Value } from '../../src/core/change.ts';
import { ERRORS, SyncError } from '../../src/core/errors.ts';
import { toHex } from '../../src/core/hex.ts';
import { partitionOf } from '../../src/core/partition.ts';
import { decodeDatagram, encodeDatagram, readDatagram } from '../../src/protocol/datagram.ts';
import { decodeBatch, encodeBatch } from '../../src/protocol/batch.ts';
import { expandPayload } from '../../src/protocol/expand-payload.ts';
import { FrameDecoder } from '../../src/protocol/frame-decoder.ts';
import { encodeFrame, FLAG_ZSTD, FRAME, frameName, PRE_AUTH_FRAME_BYTES, readFrame } from '../../src/protocol/frame.ts';
import {
  decodeCredit, decodeError, decodeGoaway, decodeHello, decodeRejected, decodeRewind, decodeWelcome,
  encodeCredit, encodeError, encodeGoaway, encodeHello, encodeRejected, encodeRewind, encodeWelcome,
} from '../../src/protocol/messages.ts';
import { decodeValue } from '../../src/protocol/msgpack-reader.ts';
import { encodeValue } from '../../src/protocol/msgpack.ts';

/** A value with its type, as the vectors write it (`docs/protocol.md`, "Test vectors"). */
type Typed =
  | null | boolean | string | readonly Typed[]
  | { readonly int: string } | { readonly float: string } | { readonly bin: string }
  | { readonly timestamp: { readonly seconds: string; readonly nanoseconds: number } }
  | { readonly map: readonly (readonly [Typed, Typed])[] };

interface Named { readonly name: string }
interface ValueVector extends Named { readonly hex: string; readonly meaning: Typed; readonly decodeOnly?: true }
interface BatchMeaning {
  readonly t?: string;
  readonly o?: Typed;
  readonly groups: readonly { readonly table: string; readonly op: Op; readonly keyCount: number; readonly columns: string[]; readonly rows: Typed[][] }[];
}
interface BatchVector extends Named { readonly hex: string; readonly meaning: BatchMeaning; readonly decodeOnly?: true }
interface DatagramVector extends Named {
  readonly hex: string; readonly meaning: Pick<BatchMeaning, 'groups'> & { readonly token: string }; readonly decodeOnly?: true;
}
interface PartitionVector extends Named {
  readonly group: string; readonly values: Typed[]; readonly partitions: number; readonly hashed: string; readonly crc32: number; readonly partition: number;
}
interface Header { readonly type: string; readonly flags: number; readonly partition: number; readonly seq: string; readonly prev: number; readonly crc: number }
interface FrameVector extends Named { readonly hex: string; readonly meaning: Header & { readonly payload: string; readonly expanded?: string } }
interface Session extends Named {
  readonly frames: readonly { readonly from: 'client' | 'server'; readonly note: string; readonly hex: string; readonly meaning: Header & { readonly content?: unknown } }[];
}
interface InvalidVector extends Named { readonly layer: 'frame' | 'hello' | 'batch' | 'compressed' | 'datagram'; readonly hex: string; readonly code: string }

test.each(load<ValueVector>('values.json'))('the value vector "$name" is read and written', ({ hex, meaning, decodeOnly }) => {
  expect(decodeValue(bytes(hex))).toEqual(untyped(meaning));
  if (decodeOnly !== true) expect(toHex(encodeValue(untyped(meaning)))).toBe(hex);
});

test.each(load<BatchVector>('batches.json'))('the batch vector "$name" is read and written', ({ hex, meaning, decodeOnly }) => {
  expect(decodeBatch(bytes(hex))).toEqual(batchOf(meaning));
  if (decodeOnly !== true) expect(toHex(encodeBatch(batchOf(meaning)))).toBe(hex);
});

test.each(load<DatagramVector>('datagrams.json'))('the datagram vector "$name" is read and written', ({ hex, meaning, decodeOnly }) => {
  const { groups } = batchOf(meaning);
  const datagram = readDatagram(bytes(hex));
  expect(datagram.token).toBe(meaning.token);
  expect(decodeDatagram(datagram)).toEqual(groups);
  if (decodeOnly !== true) expect(toHex(encodeDatagram(meaning.token, groups))).toBe(hex);
});

test.each(load<PartitionVector>('partitions.json'))('the partition vector "$name" agrees', (vector) => {
  expect(crc32(bytes(vector.hashed))).toBe(vector.crc32);
  expect(vector.crc32 % vector.partitions).toBe(vector.partition);
  expect(partitionOf(vector.group, vector.values.map(untyped), vector.partitions)).toBe(vector.partition);
});

describe.each(load<FrameVector>('frames.json'))('the frame vector "$name"', ({ hex, meaning }) => {
  test('means what it says', () => {
    const frame = readFrame(bytes(hex));
    expect(headerOf(hex)).toEqual(only(meaning));
    expect(Buffer.from(frame.payload).toString('hex')).toBe(meaning.payload);
    if (meaning.expanded !== undefined) expect(Buffer.from(expandPayload(frame, 1 << 20)).toString('hex')).toBe(meaning.expanded);
  });
  test('is what we write', () => expect(written(meaning, bytes(meaning.payload))).toBe(hex));
});

describe.each(load<Session>('sessions.json'))('the session "$name"', ({ frames }) => {
  test.each(frames)('$meaning.type: $note', ({ from, hex, meaning }) => {
    const payload = readFrame(bytes(hex)).payload;
    expect(headerOf(hex)).toEqual(only(meaning));
    expect(SENT_BY[from]).toContain(meaning.type);
    const written = contentOf(meaning.type, payload, meaning.content);
    expect(toHex(encodeFrame({ type: typeCode(meaning.type), partition: meaning.partition, seq: Number(meaning.seq), prev: meaning.prev, payload: written }))).toBe(hex);
  });

  test('chains its batches, and comes out of a decoder however it is cut', () => {
    const decoder = new FrameDecoder(PRE_AUTH_FRAME_BYTES);
    const crcs = new Map<string, number>();
    let count = 0;
    for (const byte of Buffer.concat(frames.map((frame) => bytes(frame.hex)))) {
      decoder.push(Buffer.from([byte]));
      const frame = decoder.next();
      if (frame === undefined) continue;
      count++;
      if (frame.type !== FRAME.batch) continue;
      const before = crcs.get(`${frame.partition}/${frame.seq - 1}`);
      if (before !== undefined) expect(frame.prev).toBe(before);
      crcs.set(`${frame.partition}/${frame.seq}`, frame.crc);
    }
    expect(count).toBe(frames.length);
  });
});

test('the sessions show every type of frame', () => {
  const shown = new Set(load<Session>('sessions.json').flatMap((session) => session.frames.map((frame) => frame.meaning.type)));
  expect([...shown].sort()).toEqual(Object.values(FRAME).map(frameName).sort());
});

test.each(load<InvalidVector>('invalid.json'))('invalid $layer: $name is refused with $code', ({ layer, hex, code }) => {
  expect(Object.keys(ERRORS)).toContain(code);
  expect(refusal(layer, bytes(hex))).toBe(code);
});

const SENT_BY = {
  client: ['HELLO', 'BATCH', 'PING', 'PONG', 'BYE'],
  server: ['WELCOME', 'STORED', 'APPLIED', 'REWIND', 'REJECTED', 'CREDIT', 'PING', 'PONG', 'GOAWAY', 'ERROR'],
};

const MESSAGES: Record<string, (payload: Uint8Array) => Uint8Array> = {
  HELLO: (payload) => encodeHello(decodeHello(payload)),
  WELCOME: (payload) => encodeWelcome(decodeWelcome(payload)),
  REWIND: (payload) => encodeRewind(decodeRewind(payload)),
  REJECTED: (payload) => encodeRejected(decodeRejected(payload)),
  CREDIT: (payload) => encodeCredit(decodeCredit(payload)),
  GOAWAY: (payload) => encodeGoaway(decodeGoaway(payload)),
  ERROR: (payload) => encodeError(decodeError(payload)),
};

/** Checks the payload against `content`, and returns it as we write it. */
function contentOf(type: string, payload: Uint8Array, content: unknown): Uint8Array {
  if (type === 'BATCH') {
    expect(decodeBatch(payload)).toEqual(batchOf(content as BatchMeaning));
    return encodeBatch(batchOf(content as BatchMeaning));
  }
  if (type === 'PING' || type === 'PONG') return bytes((content as { bytes: string }).bytes);
  const encode = MESSAGES[type];
  if (encode === undefined) {
    expect(content).toBeUndefined();
    return payload;
  }
  // A second implementation reads what the payload means; ours reads it and writes it again.
  expect(new Unpackr({ useRecords: false, mapsAsObjects: false }).unpack(payload)).toEqual(mapped(content as Typed));
  return encode(payload);
}

function refusal(layer: InvalidVector['layer'], data: Buffer): string {
  try {
    if (layer === 'frame') {
      const decoder = new FrameDecoder(PRE_AUTH_FRAME_BYTES);
      decoder.push(data);
      decoder.next();
    } else if (layer === 'hello') decodeHello(data);
    else if (layer === 'batch') decodeBatch(data);
    else if (layer === 'datagram') decodeDatagram(readDatagram(data));
    else decodeBatch(expandPayload(readFrame(encodeFrame({ type: FRAME.batch, flags: FLAG_ZSTD, seq: 1, payload: data })), 4096));
  } catch (error) {
    if (error instanceof SyncError) return error.code;
    throw error;
  }
  return 'accepted';
}

function written(header: Header, payload: Buffer): string {
  const { flags, partition, prev } = header;
  return toHex(encodeFrame({ type: typeCode(header.type), flags, partition, seq: Number(header.seq), prev, payload }));
}

function headerOf(hex: string): Header {
  const { type, flags, partition, seq, prev, crc } = readFrame(bytes(hex));
  return { type: frameName(type), flags, partition, seq: String(seq), prev, crc };
}

function only({ type, flags, partition, seq, prev, crc }: Header): Header {
  return { type, flags, partition, seq, prev, crc };
}

function typeCode(name: string): number {
  return FRAME[name.toLowerCase() as keyof typeof FRAME];
}

function batchOf(meaning: BatchMeaning): Batch {
  return {
    ...(meaning.t === undefined ? {} : { timeMs: Number(meaning.t) }),
    ...(meaning.o === undefined ? {} : { origin: untyped(meaning.o) }),
    groups: meaning.groups.map((group) => ({ ...group, rows: group.rows.map((row) => row.map(untyped)) })),
  };
}

function untyped(typed: Typed): Value {
  if (typed === null || typeof typed !== 'object') return typed;
  if (isArray(typed)) return typed.map(untyped);
  if ('int' in typed) return integer(typed.int);
  if ('float' in typed) return Number(typed.float);
  if ('bin' in typed) return Uint8Array.from(bytes(typed.bin));
  if ('timestamp' in typed) return new Timestamp(Number(typed.timestamp.seconds), typed.timestamp.nanoseconds);
  const map = Object.create(null) as { [key: string]: Value };
  for (const [key, value] of typed.map) map[key as string] = untyped(value);
  return map;
}

/** As {@link untyped}, with every map as a `Map` and every bin as a `Buffer`. */
function mapped(typed: Typed): unknown {
  if (typed === null || typeof typed !== 'object') return typed;
  if (isArray(typed)) return typed.map(mapped);
  if ('map' in typed) return new Map(typed.map.map(([key, value]) => [mapped(key), mapped(value)]));
  return 'bin' in typed ? bytes(typed.bin) : untyped(typed);
}

function isArray(typed: Typed): typed is readonly Typed[] {
  return Array.isArray(typed);
}

function integer(text: string): number | bigint {
  return Number.isSafeInteger(Number(text)) ? Number(text) : BigInt(text);
}

function bytes(hex: string): Buffer {
  return Buffer.from(hex, 'hex');
}

// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- only the caller knows what the vectors of a file are
function load<T>(file: string): readonly T[] {
  const { vectors } = JSON.parse(readFileSync(new URL(file, import.meta.url), 'utf8')) as { vectors: T[] };
  expect(vectors.length).toBeGreaterThan(0);
  return vectors;
}
