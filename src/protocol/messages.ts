import { assert } from '../core/assert.ts';
import { SyncError } from '../core/errors.ts';
import { fromHex, toHex } from '../core/hex.ts';
import type { PartitionBy } from '../core/partition.ts';
import { MAX_PARTITIONS, type Place, type SeqByPartition, STREAM_ID, type StreamId } from '../core/stream.ts';
import { Fields } from './fields.ts';
import { MsgpackWriter } from './msgpack.ts';

/** The payloads of every frame but BATCH; `docs/protocol.md` says what the fields mean. */

export interface Hello {
  readonly v: number;
  readonly token: string;
  readonly stream: StreamId;
  /** By partition: the lowest seq that the client still holds, or the next one it will assign. */
  readonly oldest: SeqByPartition;
  /** What the client is, for people; empty when it does not say. */
  readonly agent: string;
  /** Streams that the client left because the database lacked a part of them, at most {@link MAX_LEFT_STREAMS}: nothing of them is to be applied any more. */
  readonly left?: readonly StreamId[];
}

export interface Welcome {
  readonly v: number;
  readonly node: string;
  readonly producer: string;
  readonly partitions: number;
  readonly maxFrameBytes: number;
  readonly creditBytes: number;
  readonly heartbeatMs: number;
  readonly stored: ReadonlyMap<number, Place>;
  readonly tables: ReadonlyMap<string, TableInfo>;
}

export interface TableInfo {
  readonly key: readonly string[];
  readonly partitionBy?: PartitionBy;
  /** Whether its changes may depend on rows of other partitions: through foreign keys, or a second unique index. */
  readonly dependent?: true;
}

export interface Rewind {
  readonly reason: string;
}

export interface Rejected {
  readonly sink: string;
  readonly code: string;
  readonly message: string;
  /** Indexes of the changes in the batch; empty means the whole batch. */
  readonly changes: readonly number[];
}

export interface Credit {
  readonly bytes: number;
  readonly reason?: string;
}

export interface Goaway {
  readonly reason: string;
  readonly retryAfterMs: number;
}

export interface ErrorNotice {
  readonly code: string;
  readonly message: string;
  /** With `sink_regressed`: by partition of the stream, the first seq that the sink does not have. */
  readonly missing?: SeqByPartition;
}

export const PROTOCOL_VERSION = 1;

/** How many streams HELLO may name that the client has left; of more, the newest. */
export const MAX_LEFT_STREAMS = 8;

export function encodeHello(hello: Hello): Uint8Array {
  assert(STREAM_ID.test(hello.stream), `"${hello.stream}" is not a stream id`);
  const out = new MsgpackWriter(256);
  const { left = [] } = hello;
  assert(left.length <= MAX_LEFT_STREAMS, `HELLO names at most ${MAX_LEFT_STREAMS} streams that were left`);
  out.mapHeader(left.length > 0 ? 6 : 5);
  out.str('v');
  out.int(hello.v);
  out.str('token');
  out.str(hello.token);
  out.str('stream');
  out.bin(fromHex(hello.stream));
  out.str('oldest');
  writeSeqs(out, hello.oldest);
  out.str('agent');
  out.str(hello.agent);
  if (left.length > 0) {
    out.str('left');
    out.arrayHeader(left.length);
    for (const stream of left) out.bin(fromHex(stream));
  }
  return out.take();
}

/** @throws {SyncError} `bad_hello`, or `unsupported_version` when it is of another version, whatever else it holds. */
export function decodeHello(payload: Uint8Array): Hello {
  const fields = Fields.read('HELLO', 'bad_hello', payload);
  const v = fields.count('v');
  if (v !== PROTOCOL_VERSION) {
    throw new SyncError('unsupported_version', `HELLO asks for protocol version ${v}; this server speaks version ${PROTOCOL_VERSION}`);
  }
  const stream = toHex(fields.bin('stream', 16));
  const left = fields.has('left') ? fields.bins('left', 16, MAX_LEFT_STREAMS).map(toHex) : undefined;
  if (left?.includes(stream)) throw new SyncError('bad_hello', `HELLO: "left" names ${stream}, which is the stream that is opened`);
  return {
    v,
    token: fields.text('token', MAX_TOKEN_CHARS),
    stream,
    oldest: fields.seqs('oldest'),
    agent: fields.has('agent') ? fields.text('agent', MAX_AGENT_CHARS) : '',
    ...(left === undefined ? {} : { left }),
  };
}

export function encodeWelcome(welcome: Welcome): Uint8Array {
  const out = new MsgpackWriter(1024);
  out.mapHeader(9);
  out.str('v');
  out.int(welcome.v);
  out.str('node');
  out.str(welcome.node);
  out.str('producer');
  out.str(welcome.producer);
  out.str('partitions');
  out.int(welcome.partitions);
  out.str('maxFrameBytes');
  out.int(welcome.maxFrameBytes);
  out.str('creditBytes');
  out.int(welcome.creditBytes);
  out.str('heartbeatMs');
  out.int(welcome.heartbeatMs);
  out.str('stored');
  out.mapHeader(welcome.stored.size);
  for (const [partition, place] of welcome.stored) {
    out.int(partition);
    out.arrayHeader(2);
    out.int(place.seq);
    out.int(place.crc);
  }
  out.str('tables');
  out.mapHeader(welcome.tables.size);
  for (const [name, table] of welcome.tables) {
    out.str(name);
    writeTable(out, table);
  }
  return out.take();
}

/** @throws {SyncError} `bad_frame`, or `unsupported_version`. */
export function decodeWelcome(payload: Uint8Array): Welcome {
  const fields = Fields.read('WELCOME', 'bad_frame', payload);
  const v = fields.count('v');
  if (v !== PROTOCOL_VERSION) {
    throw new SyncError('unsupported_version', `WELCOME is of protocol version ${v}; this client speaks version ${PROTOCOL_VERSION}`);
  }
  const partitions = fields.count('partitions', MAX_PARTITIONS);
  if (partitions === 0) throw new SyncError('bad_frame', 'WELCOME: "partitions" must be at least 1');
  const tables = new Map<string, TableInfo>();
  for (const [name, table] of fields.named('tables')) tables.set(name, readTable(table));
  return {
    v,
    node: fields.text('node', MAX_TEXT_CHARS),
    producer: fields.text('producer', MAX_TEXT_CHARS),
    partitions,
    maxFrameBytes: fields.count('maxFrameBytes'),
    creditBytes: fields.count('creditBytes'),
    heartbeatMs: fields.count('heartbeatMs'),
    stored: fields.places('stored'),
    tables,
  };
}

export function encodeRewind(rewind: Rewind): Uint8Array {
  const out = new MsgpackWriter(64);
  out.mapHeader(1);
  out.str('reason');
  out.str(shortened(rewind.reason));
  return out.take();
}

/** @throws {SyncError} `bad_frame`. */
export function decodeRewind(payload: Uint8Array): Rewind {
  return { reason: Fields.read('REWIND', 'bad_frame', payload).text('reason', MAX_TEXT_CHARS) };
}

export function encodeRejected(rejected: Rejected): Uint8Array {
  const out = new MsgpackWriter(256);
  out.mapHeader(4);
  out.str('sink');
  out.str(rejected.sink);
  out.str('code');
  out.str(rejected.code);
  out.str('message');
  out.str(shortened(rejected.message));
  out.str('changes');
  out.arrayHeader(rejected.changes.length);
  for (const index of rejected.changes) out.int(index);
  return out.take();
}

/** @throws {SyncError} `bad_frame`. */
export function decodeRejected(payload: Uint8Array): Rejected {
  const fields = Fields.read('REJECTED', 'bad_frame', payload);
  return {
    sink: fields.text('sink', MAX_TEXT_CHARS),
    code: fields.text('code', MAX_TEXT_CHARS),
    message: fields.text('message', MAX_TEXT_CHARS),
    changes: fields.counts('changes'),
  };
}

export function encodeCredit(credit: Credit): Uint8Array {
  const out = new MsgpackWriter(64);
  out.mapHeader(credit.reason === undefined ? 1 : 2);
  out.str('bytes');
  out.int(credit.bytes);
  if (credit.reason !== undefined) {
    out.str('reason');
    out.str(shortened(credit.reason));
  }
  return out.take();
}

/** @throws {SyncError} `bad_frame`. */
export function decodeCredit(payload: Uint8Array): Credit {
  const fields = Fields.read('CREDIT', 'bad_frame', payload);
  const bytes = fields.count('bytes');
  return fields.has('reason') ? { bytes, reason: fields.text('reason', MAX_TEXT_CHARS) } : { bytes };
}

export function encodeGoaway(goaway: Goaway): Uint8Array {
  const out = new MsgpackWriter(64);
  out.mapHeader(2);
  out.str('reason');
  out.str(shortened(goaway.reason));
  out.str('retryAfterMs');
  out.int(goaway.retryAfterMs);
  return out.take();
}

/** @throws {SyncError} `bad_frame`. */
export function decodeGoaway(payload: Uint8Array): Goaway {
  const fields = Fields.read('GOAWAY', 'bad_frame', payload);
  return { reason: fields.text('reason', MAX_TEXT_CHARS), retryAfterMs: fields.count('retryAfterMs') };
}

export function encodeError(notice: ErrorNotice): Uint8Array {
  const { missing } = notice;
  const out = new MsgpackWriter(256);
  out.mapHeader(missing === undefined ? 2 : 3);
  out.str('code');
  out.str(notice.code);
  out.str('message');
  out.str(shortened(notice.message));
  if (missing !== undefined) {
    out.str('missing');
    writeSeqs(out, missing);
  }
  return out.take();
}

/** @throws {SyncError} `bad_frame`. */
export function decodeError(payload: Uint8Array): ErrorNotice {
  const fields = Fields.read('ERROR', 'bad_frame', payload);
  return { ...readNotice(fields), ...(fields.has('missing') && { missing: fields.seqs('missing') }) };
}

/** What is stored in place of the payload of a frame that was refused at the door: why. */
export const encodeRefusal: (refusal: ErrorNotice) => Uint8Array = encodeError;

/** @throws {SyncError} `corrupt_element`. */
export function decodeRefusal(payload: Uint8Array): ErrorNotice {
  return readNotice(Fields.read('a refusal', 'corrupt_element', payload));
}

function readNotice(fields: Fields): ErrorNotice {
  return { code: fields.text('code', MAX_TEXT_CHARS), message: fields.text('message', MAX_TEXT_CHARS) };
}

function writeSeqs(out: MsgpackWriter, seqs: SeqByPartition): void {
  out.mapHeader(seqs.size);
  for (const [partition, seq] of seqs) {
    out.int(partition);
    out.int(seq);
  }
}

/** What people read may come from anywhere: it is cut and made sendable rather than refused. */
function shortened(text: string): string {
  return text.slice(0, MAX_TEXT_CHARS).toWellFormed();
}

function writeTable(out: MsgpackWriter, { key, partitionBy, dependent }: TableInfo): void {
  out.mapHeader(1 + (partitionBy === undefined ? 0 : 1) + (dependent === true ? 1 : 0));
  out.str('key');
  writeTexts(out, key);
  if (partitionBy !== undefined) {
    out.str('partitionBy');
    out.mapHeader(2);
    out.str('group');
    out.str(partitionBy.group);
    out.str('columns');
    writeTexts(out, partitionBy.columns);
  }
  if (dependent === true) {
    out.str('dependent');
    out.bool(true);
  }
}

function writeTexts(out: MsgpackWriter, texts: readonly string[]): void {
  out.arrayHeader(texts.length);
  for (const text of texts) out.str(text);
}

function readTable(fields: Fields): TableInfo {
  const key = fields.texts('key');
  const dependent = fields.has('dependent') && fields.flag('dependent') ? ({ dependent: true } as const) : {};
  if (!fields.has('partitionBy')) return { key, ...dependent };
  const partitionBy = fields.fields('partitionBy');
  return { key, partitionBy: { group: partitionBy.text('group', MAX_TEXT_CHARS), columns: partitionBy.texts('columns') }, ...dependent };
}

const MAX_TOKEN_CHARS = 512;
const MAX_AGENT_CHARS = 256;
const MAX_TEXT_CHARS = 4096;
