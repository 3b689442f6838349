import type { Batch } from '../../core/change.ts';
import type { Clock } from '../../core/clock.ts';
import { SyncError } from '../../core/errors.ts';
import type { Place, SeqByPartition, StreamId, StreamKind } from '../../core/stream.ts';
import type {
  DeadLetterStore,
  PartitionClaims,
  Refusal,
  RejectionPage,
  Sink,
  SinkAccess,
  SinkCapabilities,
  SinkSettings,
  SinkTransaction,
  StreamClaim,
  StreamState,
} from '../sink.ts';
import { assertDistinct } from '../claims.ts';
import { readRejectionPage } from '../rejections.ts';
import { parseAddress, type MysqlTls } from './address.ts';
import { Barrier } from './barrier.ts';
import { createBookkeeping, provePrivileges, recordSettings } from './bookkeeping.ts';
import { checkServer, checkTables } from './checks.ts';
import { ConnectionSet } from './connection-set.ts';
import type { Connection, Dial } from './connection.ts';
import { MysqlDeadLetters, readRejected } from './dead-letters.ts';
import { evolveSchema } from './evolve.ts';
import { endConnections } from './fence.ts';
import { Repair } from './repair.ts';
import { readForeignReferences, readSchema, type ForeignReferences } from './schema.ts';
import { instantLiteral } from './sql.ts';
import { MysqlTable } from './table.ts';
import { MysqlTransaction } from './transaction.ts';
import {
  createWatermarks,
  endStream,
  expireStream,
  idleStreams,
  lockWatermarks,
  readStream,
  readWatermarks,
  type Mark,
  type Ownership,
} from './watermarks.ts';

export interface MysqlOptions {
  readonly name: string;
  /** `mysql://user:password@host:3306/database`, optionally with `?socket=/path`. */
  readonly url: string;
  readonly schema: 'strict' | 'evolve';
  readonly tls?: MysqlTls | undefined;
  readonly clock: Clock;
  /** How long one statement may take before its connection is given up, ms. */
  readonly statementTimeoutMs?: number | undefined;
  /** Of a node that shares the database with others. */
  readonly incarnation?: string | undefined;
  /** The driver; the real one when it is left out. */
  readonly dial?: Dial | undefined;
  /** What {@link Sink.prepare} is called with, here or elsewhere: with them, tables that are missing later are made again. */
  readonly settings?: SinkSettings | undefined;
}

const DEFAULT_STATEMENT_TIMEOUT_MS = 30_000;
/** Slices at once, over all threads: each holds a connection, of which servers allow some hundred. */
const MAX_CONCURRENCY = 64;
/** Streams whose owner is remembered; an owner never changes. */
const MAX_REMEMBERED_OWNERS = 100_000;
/** How often a transaction is begun anew because rows had to be created, or were expired meanwhile. */
const MAX_BEGIN_ATTEMPTS = 4;

/** A sink in MySQL or MariaDB. Does no I/O: connections are opened when they are needed. */
export function openMysqlSink(options: MysqlOptions): Sink {
  return new MysqlSink(options);
}

class MysqlSink implements Sink {
  readonly name: string;
  readonly capabilities: SinkCapabilities = { transactions: true, upsert: true, history: false, maxConcurrency: MAX_CONCURRENCY };
  readonly deadLetters: DeadLetterStore;
  readonly #schema: 'strict' | 'evolve';
  readonly #clock: Clock;
  readonly #database: string;
  readonly #connections: ConnectionSet;
  readonly #barrier: Barrier;
  readonly #tables = new Map<string, MysqlTable>();
  readonly #owners = new Map<StreamId, string>();
  readonly #repair: Repair;
  #references: ForeignReferences | undefined;

  constructor(options: MysqlOptions) {
    const address = parseAddress(options.url);
    const { settings } = options;
    this.#repair = new Repair(settings === undefined ? undefined : () => this.prepare(settings));
    this.name = options.name;
    this.#schema = options.schema;
    this.#clock = options.clock;
    this.#database = address.database;
    this.#connections = new ConnectionSet({
      address,
      tls: options.tls,
      clock: options.clock,
      statementTimeoutMs: options.statementTimeoutMs ?? DEFAULT_STATEMENT_TIMEOUT_MS,
      incarnation: options.incarnation,
      dial: options.dial,
      onMissingTable: this.#repair.begin,
    });
    this.#barrier = new Barrier(this.#connections, options.clock);
    this.deadLetters = new MysqlDeadLetters({
      connections: this.#connections,
      clock: options.clock,
      table: (name) => this.table(name),
      refreshSchema: (tables) => this.refreshSchema(tables),
      evolve: (batches) => this.evolve(batches),
    });
  }

  async prepare(settings: SinkSettings): Promise<readonly string[]> {
    const warnings = await this.#connections.use(async (connection) => {
      const found = await checkServer(connection);
      await createBookkeeping(connection, this.#database);
      await recordSettings(connection, this.#database, settings, instantLiteral(this.#clock.wallMs()));
      await this.#provePrivileges(connection);
      return [...found, ...(await checkTables(connection, this.#database))];
    });
    await this.refreshSchema();
    return warnings;
  }

  async refreshSchema(tables?: readonly string[]): Promise<void> {
    const definitions = await this.#connections.use(async (connection) => {
      if (tables === undefined || this.#references === undefined)
        this.#references = await readForeignReferences(connection, this.#database);
      return readSchema(connection, this.#database, tables, this.#references);
    });
    if (tables === undefined) this.#tables.clear();
    else for (const name of tables) this.#tables.delete(name);
    for (const definition of definitions) this.#tables.set(definition.name, new MysqlTable(definition));
  }

  table(name: string): MysqlTable | undefined {
    return this.#tables.get(name);
  }

  tables(): readonly MysqlTable[] {
    return [...this.#tables.values()];
  }

  async evolve(batches: readonly Batch[]): Promise<void> {
    if (this.#schema === 'strict') return;
    const touched = await this.#connections.use((connection) => evolveSchema(connection, batches, (name) => this.#tables.get(name)));
    if (touched.length > 0) await this.refreshSchema(touched);
  }

  async begin(claims: readonly PartitionClaims[]): Promise<SinkTransaction> {
    assertDistinct(claims);
    const idle = this.#connections.takeIdle();
    if (idle !== undefined) {
      try {
        return await this.#beginOn(idle, claims);
      } catch (error) {
        const lost = !idle.alive;
        this.#connections.drop(idle);
        // An idle connection can have died long ago; nothing has happened yet, so a new one may try.
        if (!lost) throw error;
      }
    }
    const connection = await this.#connections.takeNew();
    try {
      return await this.#beginOn(connection, claims);
    } catch (error) {
      this.#connections.drop(connection);
      throw error;
    }
  }

  readStream(stream: StreamId): Promise<StreamState> {
    return this.#connections.use((connection) => readStream(connection, stream));
  }

  readWatermarks(partition: number, streams: readonly StreamId[]): Promise<Map<StreamId, Place>> {
    return this.#connections.use((connection) => readWatermarks(connection, partition, streams));
  }

  readRejections(stream: StreamId, above: SeqByPartition, upTo: SeqByPartition, limit: number): Promise<RejectionPage> {
    return this.#connections.use((connection) =>
      readRejectionPage((...range) => readRejected(connection, stream, ...range), above, upTo, limit),
    );
  }

  harden(): Promise<void> {
    return this.#barrier.pass();
  }

  idleStreams(kind: StreamKind, beforeMs: number, limit: number): Promise<StreamId[]> {
    return this.#connections.use((connection) => idleStreams(connection, kind, beforeMs, limit));
  }

  endStream(claim: StreamClaim): Promise<'ended' | 'owned by other'> {
    return this.#connections.use((connection) => endStream(connection, claim, this.#clock.wallMs()));
  }

  async expireStreams(streams: readonly StreamId[], beforeMs: number): Promise<void> {
    for (const stream of streams)
      await this.#connections.use((connection) => expireStream(connection, stream, beforeMs, this.#clock.wallMs()));
  }

  useAccess({ url, tls }: SinkAccess): void {
    this.#connections.useAccess({ address: parseAddress(url), tls });
  }

  fence(incarnation: string): Promise<number> {
    return this.#connections.use((connection) => endConnections(connection, incarnation));
  }

  keepAlive(): Promise<void> {
    return this.#connections.keepAlive();
  }

  async close(): Promise<void> {
    this.#connections.close();
  }

  /** Privileges are no question of a server that is read-only for now. */
  async #provePrivileges(connection: Connection): Promise<void> {
    try {
      await provePrivileges(connection, this.#database);
    } catch (error) {
      if (!(error instanceof SyncError) || error.code !== 'sink_readonly') throw error;
    }
  }

  async #beginOn(connection: Connection, claims: readonly PartitionClaims[]): Promise<SinkTransaction> {
    const marks = marksOf(claims);
    const owners = new Map<StreamId, Ownership>();
    for (let attempt = 0; attempt < MAX_BEGIN_ATTEMPTS; attempt++) {
      const taking = marks.filter((mark) => refusalOf(mark, owners) === undefined);
      await connection.run('START TRANSACTION');
      const places = await lockWatermarks(connection, taking);
      const unknown = taking.filter(
        ({ partition, stream, producer }) => !places.get(partition)?.has(stream) || this.#owners.get(stream) !== producer,
      );
      if (unknown.length === 0) {
        const partitions = claims.map(({ partition, streams }) => ({
          partition,
          watermarks: places.get(partition) ?? new Map<StreamId, Place>(),
          refused: refusalsOf(streams, owners),
        }));
        return new MysqlTransaction({ connection, connections: this.#connections, clock: this.#clock, partitions });
      }
      await connection.run('ROLLBACK');
      for (const [stream, owner] of await createWatermarks(connection, unknown, this.#clock.wallMs())) {
        owners.set(stream, owner);
        if (!owner.expired) this.#rememberOwner(stream, owner.producer);
      }
    }
    throw new SyncError('sink_busy', 'watermarks vanish as fast as they are created; another node is expiring these streams');
  }

  #rememberOwner(stream: StreamId, producer: string): void {
    if (this.#owners.size >= MAX_REMEMBERED_OWNERS) this.#owners.clear();
    this.#owners.set(stream, producer);
  }
}

/** Why a claim does not hold, as far as owners are known. */
function refusalOf({ stream, producer }: StreamClaim, owners: ReadonlyMap<StreamId, Ownership>): Refusal | undefined {
  const owner = owners.get(stream);
  if (owner === undefined) return undefined;
  if (owner.producer !== producer) return 'stream_owned_by_other';
  return owner.expired ? 'stream_expired' : undefined;
}

function refusalsOf(claims: readonly StreamClaim[], owners: ReadonlyMap<StreamId, Ownership>): Map<StreamId, Refusal> {
  const refusals = new Map<StreamId, Refusal>();
  for (const claim of claims) {
    const refusal = refusalOf(claim, owners);
    if (refusal !== undefined) refusals.set(claim.stream, refusal);
  }
  return refusals;
}

/** In the order in which they are locked. */
function marksOf(claims: readonly PartitionClaims[]): Mark[] {
  return claims
    .toSorted((a, b) => a.partition - b.partition)
    .flatMap(({ partition, streams }) =>
      streams.toSorted((a, b) => (a.stream < b.stream ? -1 : 1)).map((claim) => ({ ...claim, partition })),
    );
}
