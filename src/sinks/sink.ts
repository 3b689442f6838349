import type { Batch, Op, Row } from '../core/change.ts';
import type { ChangeFault, ErrorCode } from '../core/errors.ts';
import type { Place, SeqByPartition, StreamId, StreamKind } from '../core/stream.ts';

/**
 * A sink: a destination that changes are applied to, with the watermarks of every stream beside the data.
 *
 * A sink object belongs to one thread. Methods reject with a {@link SyncError}: kind `transient` when the sink cannot do
 * it now (and the caller tries again for ever), `startup` from {@link Sink.prepare}. Table and column names never reach
 * SQL from the wire: they are looked up in the schema that was read from the sink.
 */
export interface Sink {
  readonly name: string;
  readonly capabilities: SinkCapabilities;

  /**
   * Run once at the start of a node: creates the sink's own tables, compares what is recorded there with `settings`,
   * checks that the database can keep the promise. Returns warnings for the log.
   * @throws {SyncError} `sink_mismatch` or `sink_unsuitable` when it must not start; transient when it is away.
   */
  prepare(settings: SinkSettings): Promise<readonly string[]>;

  /** Reads the schema anew: of the named tables, or of all. Cached between calls. */
  refreshSchema(tables?: readonly string[]): Promise<void>;
  /** A table of the cached schema; undefined when the sink has none of that name or it is Syncline's own. */
  table(name: string): Table | undefined;
  /** All tables of the cached schema. */
  tables(): readonly Table[];
  /**
   * With `schema: evolve`: creates the tables and adds the columns that `batches` need, outside any transaction, and
   * refreshes the schema. Does nothing with `schema: strict`.
   */
  evolve(batches: readonly Batch[]): Promise<void>;

  /**
   * Begins a transaction that has locked the watermark of each stream of each partition, in order of partition and stream,
   * and read it. Rows that are missing are created before, in a transaction of their own. No partition comes twice.
   */
  begin(claims: readonly PartitionClaims[]): Promise<SinkTransaction>;

  /** What the sink knows of a stream: owner, expiry and watermarks, read afresh. A crash may still undo it: see {@link harden}. */
  readStream(stream: StreamId): Promise<StreamState>;
  /** Watermarks of streams in one partition, read afresh; a stream without one is left out. */
  readWatermarks(partition: number, streams: readonly StreamId[]): Promise<Map<StreamId, Place>>;
  /**
   * Dead letters of a stream above `above` and at or below `upTo` (seq by partition), in order of partition and seq: those of
   * whole batches, of at most `limit` changes, or of one batch that has more.
   */
  readRejections(stream: StreamId, above: SeqByPartition, upTo: SeqByPartition, limit: number): Promise<RejectionPage>;

  /**
   * Resolves when everything that was read of the sink before survives a crash of it. Missing where nothing can be read
   * before it is durable.
   */
  harden?(): Promise<void>;

  readonly deadLetters: DeadLetterStore;

  /** Streams of a kind whose watermarks were all last moved before `beforeMs` (wall clock), at most `limit`. */
  idleStreams(kind: StreamKind, beforeMs: number, limit: number): Promise<StreamId[]>;
  /**
   * Replaces the watermarks of a stream by a tombstone, whether it is known or not, unless it is another producer's. Resolves
   * when no transaction can move the stream any more, also after a crash.
   */
  endStream(claim: StreamClaim): Promise<'ended' | 'owned by other'>;
  /** Replaces the watermarks of idle streams by a tombstone each. Of `request` streams nothing is left: their ids may come again. */
  expireStreams(streams: readonly StreamId[], beforeMs: number): Promise<void>;

  /** Connections that are made later log in with these, and idle ones are made anew. Absent where nobody logs in. */
  useAccess?(access: SinkAccess): void;
  /**
   * Ends every connection that a node, named by its incarnation, has to the sink: locks that it holds are then free, and
   * what it has not committed is undone. Returns how many there were. Missing where a sink has nothing of the kind.
   */
  fence?(incarnation: string): Promise<number>;

  /** Called at intervals while idle, so that a server-side timeout bites frozen holders only. */
  keepAlive(): Promise<void>;
  close(): Promise<void>;
}

/** What one logs in with: user and password of the URL, whose place stays as it is, and certificates as PEM text. */
export interface SinkAccess {
  readonly url: string;
  readonly tls?: { readonly ca?: string; readonly cert?: string; readonly key?: string; readonly rejectUnauthorized?: boolean };
}

export interface SinkCapabilities {
  /** Data and watermark commit together: exactly once. Without it a sink is at least once. */
  readonly transactions: boolean;
  /** Whether `upsert` is one atomic operation there. */
  readonly upsert: boolean;
  /** Keeps every change rather than the last state: changes are never folded. */
  readonly history: boolean;
  /** How many transactions may run at once, over all threads; a file that one process writes takes 1. */
  readonly maxConcurrency: number;
}

/** What a sink is set up with; recorded in it, and compared at every start. */
export interface SinkSettings {
  readonly partitions: number;
  /** Digest of every table's `partitionBy`; empty when none is configured. */
  readonly mapping: string;
}

/** A stream whose watermark is locked, and the producer that the queue has for it. */
export interface StreamClaim {
  readonly stream: StreamId;
  readonly producer: string;
}

/** The streams of one partition. */
export interface PartitionClaims {
  readonly partition: number;
  readonly streams: readonly StreamClaim[];
}

/** What a transaction has locked in one partition. */
export interface LockedPartition {
  readonly partition: number;
  /** The locked watermarks, {@link START} where a stream has none. */
  readonly watermarks: ReadonlyMap<StreamId, Place>;
  /** Streams whose claim does not hold, and why: they take no part in the transaction. */
  readonly refused: ReadonlyMap<StreamId, Refusal>;
}

/** Why a claim does not hold. */
export type Refusal = 'stream_expired' | 'stream_owned_by_other';

/** Where the watermarks of one partition go. */
export interface PartitionMoves {
  readonly partition: number;
  readonly places: ReadonlyMap<StreamId, Place>;
}

export interface StreamState {
  readonly status: 'known' | 'unknown' | 'expired';
  /** The producer that owns the stream; undefined when unknown. */
  readonly producer: string | undefined;
  readonly watermarks: ReadonlyMap<number, Place>;
}

/** Changes of one batch that are dead letters, for one REJECTED frame. */
export interface Rejection {
  readonly partition: number;
  readonly seq: number;
  readonly code: ErrorCode;
  readonly message: string;
  /** Indexes of the changes in the batch; empty means the whole batch. */
  readonly changes: readonly number[];
}

export interface RejectionPage {
  readonly rejections: readonly Rejection[];
  /** Partitions of which there may be more, and the seq up to which they are here. */
  readonly cut: SeqByPartition;
}

/**
 * One transaction of one slice, or of several. Exactly one of {@link commit} and {@link rollback} ends it; after any error thrown by
 * another method, roll back. A failed {@link rollback} is the sink's business: it drops the connection.
 */
export interface SinkTransaction {
  /** As they were claimed, index by index. */
  readonly partitions: readonly LockedPartition[];

  /**
   * Writes groups in order, each as few statements as the sink can. Rows were checked by their {@link Shape}.
   * Throws a {@link SyncError} of kind `permanent` or `blocked` when any row failed: roll back and go change by change.
   */
  write(groups: readonly WriteGroup[]): Promise<void>;

  /**
   * Writes one change inside a savepoint of its own and returns why it cannot be applied, if so; the savepoint is then
   * undone. Anything but a `permanent` or `blocked` failure is thrown.
   */
  writeOne(shape: Shape, row: Row): Promise<ChangeFault | undefined>;

  /**
   * Stores dead letters, moves the watermarks to `moves`, and commits. Resolves when all that survives a crash of the sink,
   * and with nothing to move, when the watermarks as they were locked do.
   * @throws {SyncError} `commit_unknown` when the connection died and the outcome is open.
   */
  commit(moves: readonly PartitionMoves[], deadLetters: readonly DeadLetter[]): Promise<void>;
  rollback(): Promise<void>;
}

/** Rows of one shape, written together. No key occurs twice, except where the sink keeps `history`. */
export interface WriteGroup {
  readonly shape: Shape;
  readonly rows: readonly Row[];
}

/** A table as the sink's schema has it. */
export interface Table {
  readonly name: string;
  /** Primary key columns in order; empty when there is none. */
  readonly key: readonly string[];
  readonly columns: readonly string[];
  /**
   * Whether rows with different keys can never decide about one another, and a checked row can be refused for nothing but
   * its key being there or not, or too few columns: no foreign key in or out, no second unique index, no CHECK, no trigger
   * here or elsewhere that could touch it, no column or index that the database computes from other columns or from the
   * order of changes (generated columns, defaults that read columns). Columns that take the time of a change, such as
   * `ON UPDATE CURRENT_TIMESTAMP`, are no obstacle: folded or not, they get the time of the last write (and changes that
   * are folded into an insert, or cancel each other out, are no write of their own). Only changes of independent tables
   * are folded, sorted and moved past those of others.
   */
  readonly independent: boolean;
  /** Checks operation, key and column names; the result is cached by the table. */
  shape(op: Op, keyCount: number, columns: readonly string[]): Shape | ChangeFault;
}

/** One operation on one set of columns of a table, with what is known about its rows. */
export interface Shape {
  readonly table: Table;
  readonly op: Op;
  readonly keyCount: number;
  readonly columns: readonly string[];
  /** Whether a row of these columns can be inserted: every column that must have a value has one. */
  readonly suffices: boolean;
  /** Why a row cannot be applied as far as types, ranges and nulls tell; undefined when nothing speaks against it. */
  check(row: Row): ChangeFault | undefined;
  /** Equal exactly for rows that the database takes for the same row. Only for rows that passed {@link check}. */
  keyOf(row: Row): string;
}

/** True when {@link Table.shape} refused. */
export function isFault(result: Shape | ChangeFault): result is ChangeFault {
  return 'code' in result;
}

/** A change set aside after a permanent failure. */
export interface DeadLetter {
  readonly stream: StreamId;
  readonly partition: number;
  readonly seq: number;
  /** Index of the change in its batch; −1 for a whole batch that could not be read. */
  readonly index: number;
  readonly producer: string;
  readonly table: string;
  readonly op: Op | '';
  /** The key's values as JSON, for people. */
  readonly key: string;
  readonly code: ErrorCode;
  readonly message: string;
  /** The change as a msgpack batch of one row, or the raw payload of an unreadable batch; for showing and retrying. */
  readonly payload: Uint8Array;
  readonly storedAtUs: number;
}

export type DeadLetterState = 'open' | 'retried' | 'dropped';

export interface StoredDeadLetter extends DeadLetter {
  readonly id: number;
  readonly state: DeadLetterState;
  readonly createdAtMs: number;
}

/** Looking after dead letters: what the operator's commands use. */
export interface DeadLetterStore {
  /** Newest first. */
  list(filter: { readonly state?: DeadLetterState; readonly table?: string; readonly limit: number }): Promise<StoredDeadLetter[]>;
  get(id: number): Promise<StoredDeadLetter | undefined>;
  count(): Promise<number>;
  /** Applies the change now and marks the letter, in one transaction; returns the fault when it still cannot be applied. */
  retry(id: number): Promise<ChangeFault | undefined>;
  /** Marks open letters as dropped; returns how many there were. */
  drop(ids: readonly number[]): Promise<number>;
}
