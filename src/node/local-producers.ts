import type { Logger } from '../admin/log.ts';
import type { Client } from '../client/sync-client.ts';
import type { Table } from '../client/table.ts';
import type { ChangeGroup } from '../core/change.ts';
import type { Timer } from '../core/clock.ts';
import { messageOf } from '../core/errors.ts';
import type { ChangeWriter } from '../ingest/change-writer.ts';
import { createLocalClient, type LocalClientParts } from './local-client.ts';

export interface LocalProducersParts extends LocalClientParts {
  readonly log: Logger;
  /** What each producer may have here that is not stored yet. */
  readonly bufferBytes: number;
  /** A change was taken and cannot be sent: its key is none, or a column that its partition depends on is missing. */
  readonly unsendable: (producer: string) => void;
}

/** A client that nobody wrote to for so long is closed; the next write makes another. */
const IDLE_MS = 5 * 60_000;
/** How long what was taken may still take to be stored when the node stops. */
const CLOSE_MS = 1_000;
/** Tables, with their keys, that are remembered for each producer. */
const MAX_TABLES = 1_000;

/** Writes for producers that speak no protocol: each has a client of the SDK in this process, which is connected with its own node. */
export class LocalProducers implements ChangeWriter {
  readonly #parts: LocalProducersParts;
  readonly #writers = new Map<string, LocalProducer>();
  #sweep: Timer | undefined;
  #isClosed = false;

  constructor(parts: LocalProducersParts) {
    this.#parts = parts;
  }

  write(producer: string, groups: readonly ChangeGroup[], byteCount: number): boolean {
    if (this.#isClosed) return false;
    let writer = this.#writers.get(producer);
    if (writer === undefined) {
      writer = new LocalProducer(producer, this.#parts);
      this.#writers.set(producer, writer);
      this.#sweep ??= this.#parts.clock.setTimer(IDLE_MS, this.#closeIdle);
    }
    return writer.write(groups, byteCount);
  }

  /** Waits a moment until what was taken is stored, and closes everything. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#sweep?.cancel();
    await Promise.all([...this.#writers.values()].map((writer) => writer.close()));
    this.#writers.clear();
  }

  readonly #closeIdle = (): void => {
    for (const [producer, writer] of this.#writers) {
      if (!writer.isIdle) continue;
      this.#writers.delete(producer);
      void writer.close();
    }
    this.#sweep = this.#writers.size === 0 ? undefined : this.#parts.clock.setTimer(IDLE_MS, this.#closeIdle);
  };
}

/** One producer: its client, and how much of it waits here. */
class LocalProducer {
  readonly #producer: string;
  readonly #parts: LocalProducersParts;
  #client: Client;
  #tables = new Map<string, Table<Record<string, unknown>>>();
  /** Taken before the client knows the server: it cannot make batches of that yet. */
  #earlyBytes = 0;
  #isKnown = false;
  #isRenewing = false;
  #isClosed = false;
  #writtenAtMs: number;

  constructor(producer: string, parts: LocalProducersParts) {
    this.#producer = producer;
    this.#parts = parts;
    this.#writtenAtMs = parts.clock.monotonicMs();
    this.#client = this.#connect();
  }

  get isIdle(): boolean {
    return this.#parts.clock.monotonicMs() - this.#writtenAtMs >= IDLE_MS && this.#client.status().pendingBytes === 0;
  }

  write(groups: readonly ChangeGroup[], byteCount: number): boolean {
    if (this.#isRenewing) return false;
    const { pendingBytes, failure } = this.#client.status();
    if (failure !== undefined || pendingBytes >= this.#parts.bufferBytes) {
      void this.#renew();
      return false;
    }
    if (!this.#isKnown) {
      if (this.#earlyBytes >= this.#parts.bufferBytes) return false;
      this.#earlyBytes += byteCount;
    }
    this.#writtenAtMs = this.#parts.clock.monotonicMs();
    for (const group of groups) this.#writeGroup(group);
    return true;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const { clock } = this.#parts;
    const patience = new AbortController();
    const timer = clock.setTimer(CLOSE_MS, () => patience.abort());
    const client = this.#client;
    await client.flush({ until: 'stored', signal: patience.signal }).catch(() => {});
    await client.close({ flush: false, signal: AbortSignal.abort() }).catch(() => {});
    timer.cancel();
  }

  #writeGroup({ table, op, keyCount, columns, rows }: ChangeGroup): void {
    const target = this.#tableOf(table, columns.slice(0, keyCount));
    for (const values of rows) target[op](Object.fromEntries(columns.map((column, i) => [column, values[i]]))).catch(this.#refused);
  }

  /** A change that was taken before the client closed is not refused by it: what closes it waits for that. */
  readonly #refused = (error: unknown): void => {
    if (error instanceof TypeError) this.#parts.unsendable(this.#producer);
  };

  #tableOf(name: string, key: readonly string[]): Table<Record<string, unknown>> {
    const signature = JSON.stringify([name, key]);
    let table = this.#tables.get(signature);
    if (table === undefined) {
      if (this.#tables.size >= MAX_TABLES) this.#tables = new Map();
      table = this.#client.table(name, { key });
      this.#tables.set(signature, table);
    }
    return table;
  }

  /**
   * A client holds what it wrote until it is applied. Nobody here promises that: once everything is stored, a new client
   * with a new stream goes on, so that a sink that lags costs no memory and drops nothing.
   */
  async #renew(): Promise<void> {
    this.#isRenewing = true;
    const old = this.#client;
    await old.flush({ until: 'stored' }).catch(() => {});
    await old.close({ flush: false }).catch(() => {});
    if (this.#isClosed) return;
    this.#client = this.#connect();
    this.#isRenewing = false;
  }

  #connect(): Client {
    const { log, bufferBytes } = this.#parts;
    const producer = this.#producer;
    // A write of this class never waits for room: it looks first.
    const client = createLocalClient(this.#parts, producer, {
      agent: 'syncline udp',
      onRegressed: 'new-stream',
      bufferBytes: bufferBytes * 2,
    });
    this.#tables = new Map();
    this.#earlyBytes = 0;
    this.#isKnown = false;
    client.on('connected', () => (this.#isKnown = true));
    client.on('error', (error) => log.warn({ producer, code: error.code }, `datagrams cannot be stored: ${messageOf(error)}`));
    client.start();
    return client;
  }
}
