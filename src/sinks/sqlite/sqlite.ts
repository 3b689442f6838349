import type { DatabaseSync } from 'node:sqlite';
import type { Batch } from '../../core/change.ts';
import type { Clock } from '../../core/clock.ts';
import { SyncError, type ChangeFault } from '../../core/errors.ts';
import type { Place, SeqByPartition, StreamId, StreamKind } from '../../core/stream.ts';
import { assertDistinct } from '../claims.ts';
import { applyEach, changesOf, notOpen } from '../retry.ts';
import type {
  DeadLetterStore,
  PartitionClaims,
  RejectionPage,
  Sink,
  SinkCapabilities,
  SinkSettings,
  StreamClaim,
  StreamState,
  Table,
} from '../sink.ts';
import { endStream, expireStreams, idleStreams, readStream, readWatermarks, setUp } from './books.ts';
import { readRejectionPage } from '../rejections.ts';
import { countLetters, getLetter, listLetters, markLetter, readRejected } from './dead-letters.ts';
import { isDamage } from './errors.ts';
import { additionsFor, applyAdditions } from './evolve.ts';
import { SqliteFile } from './file.ts';
import { readSchema, type Schema } from './schema.ts';
import { SqliteTransaction, Writer } from './transaction.ts';

export interface SqliteSinkOptions {
  readonly name: string;
  /** Path of the database; created by {@link Sink.prepare}. */
  readonly file: string;
  readonly schema: 'strict' | 'evolve';
  readonly clock: Clock;
}

/** A sink in a SQLite file. The file is opened when it is first needed. */
export function openSqliteSink(options: SqliteSinkOptions): Sink {
  return new SqliteSink(options);
}

/**
 * Transactions begin with the write lock of the file, which therefore is the lock of every watermark: SQLite has one
 * writer at a time, over all threads and processes. Calls block their thread while SQLite works, but not while it waits
 * for that lock. Reads outside transactions go through a second connection and see committed data only.
 */
class SqliteSink implements Sink {
  readonly name: string;
  readonly capabilities: SinkCapabilities = { transactions: true, upsert: true, history: false, maxConcurrency: 1 };
  readonly deadLetters: DeadLetterStore;
  readonly #options: SqliteSinkOptions;
  readonly #file: SqliteFile;
  readonly #writers = new WeakMap<DatabaseSync, Writer>();
  #schema: Schema = { version: -1, tables: new Map() };

  constructor(options: SqliteSinkOptions) {
    this.name = options.name;
    this.#options = options;
    this.#file = new SqliteFile(options.file, options.clock);
    this.deadLetters = {
      list: async (filter) => this.#file.read('list dead letters', (db) => listLetters(db, filter)),
      get: async (id) => this.#file.read('read a dead letter', (db) => getLetter(db, id)),
      count: async () => this.#file.read('count dead letters', countLetters),
      retry: (id) => this.#retry(id),
      drop: (ids) => this.#inTransaction('drop dead letters', (db) => ids.filter((id) => markLetter(db, id, 'dropped')).length),
    };
  }

  async prepare(settings: SinkSettings): Promise<readonly string[]> {
    try {
      this.#file.create();
      await this.#inTransaction('set up', (db) => setUp(db, this.#options.file, settings));
      await this.refreshSchema();
    } catch (error) {
      if (!(error instanceof SyncError) || !isDamage(error.cause)) throw error;
      throw new SyncError(
        'sink_unsuitable',
        `sqlite: ${this.#options.file} is not a sound SQLite database: restore it, or use another file`,
        { cause: error },
      );
    }
    const keyless = this.tables().filter((table) => table.key.length === 0);
    if (keyless.length === 0) return [];
    return [`sink ${this.name}: changes to tables without a primary key are refused: ${keyless.map((table) => table.name).join(', ')}`];
  }

  async refreshSchema(): Promise<void> {
    // Telling that nothing changed takes one read of the header; reading one table or all makes no difference then.
    this.#schema = this.#file.read('read the schema', (db) => readSchema(db, this.#schema));
  }

  table(name: string): Table | undefined {
    return this.#schema.tables.get(name);
  }

  tables(): readonly Table[] {
    return [...this.#schema.tables.values()];
  }

  async evolve(batches: readonly Batch[]): Promise<void> {
    if (this.#options.schema !== 'evolve' || additionsFor(this.#schema, batches) === undefined) return;
    await this.#inTransaction('evolve the schema', (db) => {
      // Another thread may have added the same meanwhile.
      const schema = readSchema(db, this.#schema);
      const additions = additionsFor(schema, batches);
      if (additions !== undefined) applyAdditions(db, schema, additions);
    });
    await this.refreshSchema();
  }

  async begin(claims: readonly PartitionClaims[]): Promise<SqliteTransaction> {
    assertDistinct(claims);
    const db = await this.#file.lock();
    try {
      this.#schema = readSchema(db, this.#schema);
      return new SqliteTransaction(this.#file, this.#writer(db), this.#schema, claims);
    } catch (error) {
      const problem = this.#file.problem(error, 'begin a transaction');
      this.#file.unlock();
      throw problem;
    }
  }

  async readStream(stream: StreamId): Promise<StreamState> {
    return this.#file.read('read a stream', (db) => readStream(db, stream));
  }

  async readWatermarks(partition: number, streams: readonly StreamId[]): Promise<Map<StreamId, Place>> {
    return this.#file.read('read watermarks', (db) => readWatermarks(db, partition, streams));
  }

  readRejections(stream: StreamId, above: SeqByPartition, upTo: SeqByPartition, limit: number): Promise<RejectionPage> {
    const read = async (from: SeqByPartition, to: SeqByPartition, most?: number) =>
      this.#file.read('read rejections', (db) => readRejected(db, stream, from, to, most));
    return readRejectionPage(read, above, upTo, limit);
  }

  async idleStreams(kind: StreamKind, beforeMs: number, limit: number): Promise<StreamId[]> {
    return this.#file.read('look for idle streams', (db) => idleStreams(db, kind, beforeMs, limit));
  }

  endStream(claim: StreamClaim): Promise<'ended' | 'owned by other'> {
    return this.#inTransaction('end a stream', (db) => endStream(db, claim, this.#options.clock.wallMs()));
  }

  async expireStreams(streams: readonly StreamId[], beforeMs: number): Promise<void> {
    if (streams.length === 0) return;
    await this.#inTransaction('expire streams', (db) => expireStreams(db, streams, beforeMs, this.#options.clock.wallMs()));
  }

  /** A file has no sessions that could time out. */
  async keepAlive(): Promise<void> {}

  async close(): Promise<void> {
    this.#file.close();
  }

  async #retry(id: number): Promise<ChangeFault | undefined> {
    const letter = await this.deadLetters.get(id);
    if (letter === undefined) return notOpen(id, letter);
    const batch = changesOf(letter);
    if ('code' in batch) return batch;
    await this.refreshSchema();
    await this.evolve([batch]);
    const transaction = await this.begin([]);
    try {
      if (!transaction.markRetried(id)) return notOpen(id, await this.deadLetters.get(id));
      const fault = await applyEach(this, transaction, batch);
      if (fault === undefined) await transaction.commit([], []);
      return fault;
    } finally {
      await transaction.rollback();
    }
  }

  #writer(db: DatabaseSync): Writer {
    const known = this.#writers.get(db);
    if (known !== undefined) return known;
    const writer = new Writer(db);
    this.#writers.set(db, writer);
    return writer;
  }

  async #inTransaction<T>(doing: string, run: (db: DatabaseSync) => T): Promise<T> {
    const db = await this.#file.lock();
    try {
      const result = run(db);
      db.exec('COMMIT');
      return result;
    } catch (error) {
      throw this.#file.problem(error, doing);
    } finally {
      this.#file.unlock();
    }
  }
}
