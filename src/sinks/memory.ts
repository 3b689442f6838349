import type { Batch } from '../core/change.ts';
import type { Clock } from '../core/clock.ts';
import { SyncError, type ChangeFault } from '../core/errors.ts';
import { kindOfStream, type Place, type SeqByPartition, type StreamId, type StreamKind } from '../core/stream.ts';
import { createMemoryStore, type MemoryStore } from './memory-store.ts';
import type { MemoryTable, MemoryTableDefinition } from './memory-table.ts';
import { MemoryTransaction } from './memory-transaction.ts';
import { readRejectionPage } from './rejections.ts';
import { applyEach, changesOf, notOpen } from './retry.ts';
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
} from './sink.ts';

export interface MemorySinkOptions {
  readonly name: string;
  readonly clock: Clock;
  /** Tables of a new store; ignored when `store` is given. */
  readonly tables?: readonly MemoryTableDefinition[];
  /** The database, which sinks of several nodes or threads can share. */
  readonly store?: MemoryStore;
  readonly schema?: 'strict' | 'evolve';
}

/** A sink that keeps everything in memory, for tests and simulations. It passes the same contract suite as the others. */
export function createMemorySink(options: MemorySinkOptions): Sink {
  return new MemorySink(options);
}

class MemorySink implements Sink {
  readonly name: string;
  readonly capabilities: SinkCapabilities = { transactions: true, upsert: true, history: false, maxConcurrency: 16 };
  readonly deadLetters: DeadLetterStore;
  readonly #clock: Clock;
  readonly #store: MemoryStore;
  readonly #evolves: boolean;
  readonly #open = new Set<MemoryTransaction>();
  #tables: ReadonlyMap<string, MemoryTable> = new Map();

  constructor({ name, clock, tables, store, schema }: MemorySinkOptions) {
    this.name = name;
    this.#clock = clock;
    this.#store = store ?? createMemoryStore(tables);
    this.#evolves = schema === 'evolve';
    const { letters } = this.#store;
    this.deadLetters = {
      list: async ({ state, table, limit }) =>
        [...letters.values()]
          .reverse()
          .filter((letter) => (state ?? letter.state) === letter.state && (table ?? letter.table) === letter.table)
          .slice(0, limit),
      get: async (id) => letters.get(id),
      count: async () => [...letters.values()].filter((letter) => letter.state === 'open').length,
      retry: (id) => this.#retry(id),
      drop: (ids) => this.#drop(ids),
    };
  }

  async prepare(settings: SinkSettings): Promise<readonly string[]> {
    const recorded = (this.#store.settings ??= settings);
    if (recorded.partitions !== settings.partitions || recorded.mapping !== settings.mapping) {
      throw new SyncError(
        'sink_mismatch',
        `memory: set up with ${recorded.partitions} partitions and mapping ${recorded.mapping || '(none)'}`,
      );
    }
    await this.refreshSchema();
    return [];
  }

  async refreshSchema(): Promise<void> {
    this.#tables = new Map(this.#store.tables);
  }

  table(name: string): Table | undefined {
    return this.#tables.get(name);
  }

  tables(): readonly Table[] {
    return [...this.#tables.values()];
  }

  async evolve(batches: readonly Batch[]): Promise<void> {
    if (!this.#evolves) return;
    for (const { table, keyCount, columns } of batches.flatMap((batch) => batch.groups)) {
      if (table.startsWith('syncline_')) continue;
      if (!this.#store.tables.has(table))
        this.#store.define({
          name: table,
          key: columns.slice(0, keyCount),
          columns: Object.fromEntries(columns.map((column) => [column, {}])),
        });
      const present = this.#store.tables.get(table)?.columns ?? [];
      if (!columns.slice(0, keyCount).every((column) => present.includes(column))) continue;
      for (const column of columns)
        if (this.#store.tables.get(table)?.columns.includes(column) === false) this.#store.addColumn(table, column, {});
    }
    await this.refreshSchema();
  }

  async begin(claims: readonly PartitionClaims[]): Promise<MemoryTransaction> {
    const transaction = new MemoryTransaction(this.#store, this.#clock);
    for (const other of this.#open) if (other.hasEnded) this.#open.delete(other);
    this.#open.add(transaction);
    try {
      await transaction.claim(claims);
      return transaction;
    } catch (error) {
      await transaction.rollback();
      throw error;
    }
  }

  async readStream(stream: StreamId): Promise<StreamState> {
    const known = this.#store.streams.get(stream);
    const places = this.#store.watermarks.get(stream) ?? new Map<number, { place: Place }>();
    const watermarks = new Map([...places].map(([partition, { place }]) => [partition, place]));
    return { status: known === undefined ? 'unknown' : known.expired ? 'expired' : 'known', producer: known?.producer, watermarks };
  }

  async readWatermarks(partition: number, streams: readonly StreamId[]): Promise<Map<StreamId, Place>> {
    const found = new Map<StreamId, Place>();
    for (const stream of streams) {
      const place = this.#store.watermarks.get(stream)?.get(partition)?.place;
      if (place !== undefined) found.set(stream, place);
    }
    return found;
  }

  readRejections(stream: StreamId, above: SeqByPartition, upTo: SeqByPartition, limit: number): Promise<RejectionPage> {
    const letters = [...this.#store.letters.values()].filter((letter) => letter.stream === stream);
    letters.sort((a, b) => a.partition - b.partition || a.seq - b.seq || a.id - b.id);
    const read = async (from: SeqByPartition, to: SeqByPartition, most?: number) =>
      letters.filter(({ partition, seq }) => seq > (from.get(partition) ?? 0) && seq <= (to.get(partition) ?? 0)).slice(0, most);
    return readRejectionPage(read, above, upTo, limit);
  }

  async idleStreams(kind: StreamKind, beforeMs: number, limit: number): Promise<StreamId[]> {
    const idle = [...this.#store.streams].filter(
      ([stream, { expired }]) => kindOfStream(stream) === kind && !expired && this.#isIdle(stream, beforeMs),
    );
    return idle.slice(0, limit).map(([stream]) => stream);
  }

  async endStream({ stream, producer }: StreamClaim): Promise<'ended' | 'owned by other'> {
    // Whoever moves it in any partition ends first.
    const partitions = Array.from({ length: this.#store.settings?.partitions ?? 0 }, (_, partition) => partition);
    const transaction = await this.begin(partitions.map((partition) => ({ partition, streams: [{ stream, producer }] })));
    const owner = this.#store.streams.get(stream)?.producer ?? producer;
    if (owner === producer) {
      this.#store.streams.set(stream, { producer, expired: true });
      this.#store.watermarks.delete(stream);
    }
    await transaction.rollback();
    return owner === producer ? 'ended' : 'owned by other';
  }

  async expireStreams(streams: readonly StreamId[], beforeMs: number): Promise<void> {
    for (const stream of streams) {
      const known = this.#store.streams.get(stream);
      if (known === undefined || known.expired || !this.#isIdle(stream, beforeMs)) continue;
      if (kindOfStream(stream) === 'request') this.#store.streams.delete(stream);
      else this.#store.streams.set(stream, { ...known, expired: true });
      this.#store.watermarks.delete(stream);
    }
  }

  async keepAlive(): Promise<void> {}

  /** What is still open is rolled back, as when a process dies. */
  async close(): Promise<void> {
    for (const transaction of this.#open) transaction.abandon();
    this.#open.clear();
  }

  #isIdle(stream: StreamId, beforeMs: number): boolean {
    return [...(this.#store.watermarks.get(stream)?.values() ?? [])].every(({ movedAtMs }) => movedAtMs < beforeMs);
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
      if (!transaction.mark(id, 'retried')) return notOpen(id, await this.deadLetters.get(id));
      const fault = await applyEach(this, transaction, batch);
      if (fault === undefined) await transaction.commit([], []);
      return fault;
    } finally {
      await transaction.rollback();
    }
  }

  async #drop(ids: readonly number[]): Promise<number> {
    const transaction = await this.begin([]);
    try {
      const dropped = ids.filter((id) => transaction.mark(id, 'dropped')).length;
      await transaction.commit([], []);
      return dropped;
    } finally {
      await transaction.rollback();
    }
  }
}
