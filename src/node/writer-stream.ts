// Hot path: every change of an HTTP request passes here.
import { type Clock, sleep } from '../core/clock.ts';
import { SyncError } from '../core/errors.ts';
import { encodeFacts, type ServerFacts } from '../client/server-facts.ts';
import type { Rejection } from '../client/rejection.ts';
import type { Client } from '../client/sync-client.ts';
import { type Change, TableSource } from '../client/table.ts';
import type { Ack, RequestChange } from '../ingest/http/change-writer.ts';

/** How long changes may take to be stored, and to be applied. */
const SETTLE_MS: Readonly<Record<Ack, number>> = { stored: 10_000, applied: 30_000 };
/** Tables, with their keys, that are remembered; names come from outside. */
const MAX_TABLES = 200;

/** A client within the node, with the streams and tables that requests write to one after the other, or together. */
export class WriterStream {
  readonly producer: string;
  readonly client: Client;
  /** Requests that write to it. */
  users = 0;
  idleSinceMs = 0;
  /** Changes that were taken; the next one has this number. */
  takenCount = 0;
  /** Whether all that was written is as far as it was to be. */
  isSettled = false;
  /** Hears of what is refused, while somebody wants to. */
  rejected: ((rejection: Rejection) => void) | undefined;
  #failure: SyncError | undefined;
  #facts: ServerFacts;
  readonly #clock: Clock;
  #sources = new Map<string, KeyedSource[]>();
  #sourceCount = 0;
  #last: KeyedSource | undefined;

  constructor(client: Client, facts: ServerFacts, clock: Clock) {
    this.producer = facts.producer;
    this.client = client;
    this.#facts = facts;
    this.#clock = clock;
    client.on('rejected', (rejection) => this.rejected?.(rejection));
    client.on('error', () => (this.#failure = client.status().failure));
  }

  /** Why it will never take anything again. */
  get failure(): SyncError | undefined {
    return this.#failure;
  }

  knows(table: string): boolean {
    return (this.#facts.tables.get(table)?.key.length ?? 0) > 0;
  }

  learn(facts: ServerFacts): void {
    if (encodeFacts(facts) === encodeFacts(this.#facts)) return;
    this.#facts = facts;
    this.#sources = new Map();
    this.#sourceCount = 0;
    this.#last = undefined;
    this.client.learn(facts);
  }

  /** @throws {TypeError | SyncError} */
  check(change: RequestChange): void {
    this.client.check(this.#changeOf(change));
  }

  /** @throws {TypeError | SyncError} */
  write(change: RequestChange): Promise<void> | undefined {
    const waiting = this.client.take(this.#changeOf(change));
    this.takenCount++;
    this.isSettled = false;
    return waiting;
  }

  /**
   * Resolves when everything that was written is stored, or applied.
   * @throws {SyncError} when that takes too long or the stream has failed.
   */
  async settle(ack: Ack, signal: AbortSignal): Promise<void> {
    const settled = new AbortController();
    const late = new AbortController();
    void sleep(this.#clock, SETTLE_MS[ack], settled.signal).then(() => late.abort());
    try {
      await this.client.flush({ until: ack, signal: AbortSignal.any([signal, late.signal]) });
      this.isSettled = true;
    } catch (error) {
      if (error instanceof SyncError || signal.aborted || !late.signal.aborted) throw error;
      throw this.#late(ack);
    } finally {
      settled.abort();
    }
  }

  #late(ack: Ack): SyncError {
    const seconds = SETTLE_MS[ack] / 1_000;
    if (ack === 'stored')
      return new SyncError(
        'queue_unavailable',
        `the changes were not stored within ${seconds} s; they may be later. Repeat the request with the same Idempotency-Key, if it has one`,
      );
    return new SyncError(
      'sink_unavailable',
      `the changes were not applied within ${seconds} s; they may be later. Repeat the request with the same Idempotency-Key, if it has one`,
    );
  }

  #changeOf({ table, op, row, key }: RequestChange): Change {
    const last = this.#last;
    const found = last !== undefined && last.table === table && sameKey(last.key, key) ? last : this.#find(table, key);
    return { table: found.source, op, row };
  }

  #find(table: string, key: readonly string[] | undefined): KeyedSource {
    if (this.#sourceCount >= MAX_TABLES) {
      this.#sources = new Map();
      this.#sourceCount = 0;
    }
    let sources = this.#sources.get(table);
    if (sources === undefined) this.#sources.set(table, (sources = []));
    let found = sources.find((one) => sameKey(one.key, key));
    if (found === undefined) {
      const known = this.#facts.tables.get(table)?.key;
      // In the order of the table's own key: another would lead the same row to another partition.
      const isOwn =
        key === undefined || (known !== undefined && known.length === key.length && key.every((column) => known.includes(column)));
      found = { table, key, source: new TableSource(table, isOwn ? {} : { key }) };
      sources.push(found);
      this.#sourceCount++;
    }
    this.#last = found;
    return found;
  }
}

interface KeyedSource {
  readonly table: string;
  readonly key: readonly string[] | undefined;
  readonly source: TableSource;
}

function sameKey(a: readonly string[] | undefined, b: readonly string[] | undefined): boolean {
  if (a === b) return true;
  if (a === undefined || b === undefined || a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
