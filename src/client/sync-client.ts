import type { Clock } from '../core/clock.ts';
import { messageOf, SyncError } from '../core/errors.ts';
import type { Dialer } from '../core/network.ts';
import type { Random } from '../core/random.ts';
import type { Rejected, Welcome } from '../protocol/messages.ts';
import { Events } from './events.ts';
import { Flushes } from './flush.ts';
import { Intake, type IntakeSettings } from './intake.ts';
import type { HeldFrame } from './lane.ts';
import { Link, type LinkSettings } from './link.ts';
import { type Level, Outbox } from './outbox.ts';
import { type Rejection, rejectionOf } from './rejection.ts';
import type { InputRow } from './row-plan.ts';
import { decodeFacts, encodeFacts, factsOf, type ServerFacts } from './server-facts.ts';
import type { Spool } from './spool.ts';
import { type Change, Table, type TableOptions, TableSource } from './table.ts';

/** What a client runs on. Real in production; a simulation passes its own. */
export interface ClientParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly dialer: Dialer;
  readonly spool: Spool;
}

export interface ClientSettings extends IntakeSettings, LinkSettings {
  /** The producer that the token must belong to; not checked when it is left out. */
  readonly producer: string | undefined;
}

export interface ClientEvents {
  /** WELCOME came; also after every reconnect. */
  connected: { readonly node: string; readonly producer: string; readonly stream: string };
  /** The connection is gone, or was not made; the next attempt is `retryInMs` from now. */
  disconnected: { readonly reason: string; readonly retryInMs: number };
  /** The server takes nothing now, or the spool cannot be written. Writes go on until the buffer is full, then they wait. */
  held: { readonly by: 'server' | 'spool'; readonly reason: string };
  /** It goes on after `held`. */
  resumed: { readonly by: 'server' | 'spool' };
  /** Changes that the sink refused for good. After a restart of the program, the same ones may be reported once more. */
  rejected: Rejection;
  /** The server lost what it had stored and not yet applied, and asked for it again. Nothing to do. */
  rewind: { readonly partition: number; readonly seq: number; readonly reason: string };
  /** The server knows other content under this client's numbers: its folder or machine was copied or restored. */
  diverged: { readonly reason: string };
  /** What was held goes on in a new stream. */
  'stream-started': { readonly stream: string };
  /** The server lacks changes that it had acknowledged as applied; see `onRegressed`. */
  regressed: SyncError;
  /** The server refuses this client (tried again, seldom), or the client has stopped for good: see `status().failure`. */
  error: SyncError;
}

export interface FlushOptions {
  /** Default `applied`. */
  readonly until?: Level;
  readonly signal?: AbortSignal;
}

/** What became of changes since the last summary. */
export interface FlushSummary {
  /** Changes that are in every required sink. */
  readonly applied: number;
  /** Changes that were refused for good. */
  readonly rejected: number;
  /** Why, the first {@link MAX_SUMMARY_REJECTIONS}. */
  readonly rejections: readonly Rejection[];
  /** Changes that are still on their way. */
  readonly pending: number;
}

export interface CloseOptions {
  /** Whether to wait until everything is applied (default true). With a file spool, what is left goes out the next time. */
  readonly flush?: boolean;
  readonly signal?: AbortSignal;
}

export interface ClientStatus {
  readonly connected: boolean;
  readonly stream: string;
  /** Accepted and not applied yet: changes, and bytes in the buffer. */
  readonly pendingChanges: number;
  readonly pendingBytes: number;
  /** How long the oldest of them has been waiting. */
  readonly lagMs: number;
  /** Writes that wait for room in the buffer. */
  readonly waitingWrites: number;
  /** Sent and not acknowledged as stored; never above `creditBytes`, but for a single large frame. */
  readonly outstandingBytes: number;
  readonly creditBytes: number;
  readonly appliedChanges: number;
  readonly rejectedChanges: number;
  /** Why nothing goes out now. */
  readonly held: string | undefined;
  /** Why the client has stopped. */
  readonly failure: SyncError | undefined;
}

export const MAX_SUMMARY_REJECTIONS = 100;

/**
 * A producer's end of Syncline: takes changes, keeps them until they are applied, and sends them again as often as that
 * takes. Made by `connect`; see `docs/client.md`.
 */
export class Client {
  readonly #parts: ClientParts;
  readonly #settings: ClientSettings;
  readonly #outbox: Outbox;
  readonly #intake: Intake;
  readonly #link: Link;
  readonly #flushes: Flushes;
  readonly #events = new Events<ClientEvents>();
  #failure: SyncError | undefined;
  #heldByServer: string | undefined;
  #heldBySpool: string | undefined;
  #rejectedChanges = 0;
  #rejections: Rejection[] = [];
  /** What earlier summaries told. */
  #told = { applied: 0, rejected: 0 };
  #closing: Promise<FlushSummary> | undefined;

  constructor(parts: ClientParts, settings: ClientSettings) {
    this.#parts = parts;
    this.#settings = settings;
    this.#outbox = new Outbox(parts.spool, parts.clock, parts.random, {
      sendable: () => this.#link.pump(),
      progressed: () => this.#progressed(),
      diverged: (reason) => this.#diverged(reason),
      spoolTroubled: (error) => this.#spoolHeld(messageOf(error)),
      spoolRecovered: () => this.#spoolHeld(undefined),
    });
    this.#intake = new Intake(this.#outbox, parts.clock, settings);
    this.#flushes = new Flushes(this.#outbox);
    this.#link = new Link(parts.dialer, this.#outbox, parts.clock, parts.random, settings, {
      welcomed: (welcome) => this.#welcomed(welcome),
      opened: (welcome) => this.#opened(welcome),
      rejected: (partition, seq, rejected) =>
        this.#outbox.whose(partition, seq, (frame) => this.#rejected(partition, seq, rejected, frame)),
      rewound: (partition, seq, reason) => this.#events.emit('rewind', { partition, seq, reason }),
      held: (reason) => this.#serverHeld(reason),
      disconnected: (reason, retryInMs) => this.#events.emit('disconnected', { reason, retryInMs }),
      refused: (error) => this.#events.emit('error', error),
      regressed: (error) => this.#events.emit('regressed', error),
      failed: (error) => this.#failed(error),
      streamStarted: () => this.#events.emit('stream-started', { stream: this.#outbox.stream }),
    });
    const facts = decodeFacts(parts.spool.restored.note);
    if (facts !== undefined) this.#intake.learn(facts);
  }

  /** Begins to connect; called once. */
  start(): void {
    this.#link.start();
  }

  /** A table to write to. The key is what the server knows of the table, or what `options` say. */
  table<R extends object = InputRow>(name: string, options: TableOptions = {}): Table<R> {
    return new Table<R>(new TableSource(name, options), this.#intake);
  }

  /**
   * Writes changes that are applied together or, but for refused ones, not at all. They must belong in one partition.
   * Resolves and rejects like the writes of a {@link Table}.
   */
  batch(changes: readonly Change[]): Promise<void> {
    return this.#intake.writeAll(changes);
  }

  /**
   * Writes one change as a {@link Table} does, for programs that write so many that a promise for each would count: what
   * that rejects with is thrown, and nothing is returned where there is nothing to wait for.
   */
  take({ table, op, row }: Change): Promise<void> | undefined {
    return this.#intake.take(table, op, row);
  }

  /** Goes by what the server says now, which it otherwise tells at every connection: for a client beside the server. */
  learn(facts: ServerFacts): void {
    this.#intake.learn(facts);
  }

  /** Bytes of changes that were written and are not applied. */
  get pendingBytes(): number {
    return this.#outbox.heldBytes + this.#intake.openBytes;
  }

  /** Throws what {@link take} would throw because of the row, and takes nothing. Only once the server is known. */
  check({ table, op, row }: Change): void {
    this.#intake.check(table, op, row);
  }

  /**
   * Resolves when every change that was written before the call is `spooled` (durable with this client), `stored` (in
   * the server's queue, revocable) or `applied` (final; the default). Rejects when `signal` is aborted, or when the client
   * has stopped.
   */
  async flush(options: FlushOptions = {}): Promise<FlushSummary> {
    const { until = 'applied', signal } = options;
    signal?.throwIfAborted();
    await withSignal(this.#intake.drained(), signal);
    this.#intake.seal();
    await this.#flushes.wait(until, this.#outbox.newestOrder, signal);
    return this.#summary();
  }

  /**
   * Flushes, says goodbye and frees the spool. Further writes are refused from now on. Where the flush is aborted or
   * cannot end because the client has stopped, it closes all the same and then rejects. The second call returns the first's promise.
   */
  close(options: CloseOptions = {}): Promise<FlushSummary> {
    this.#closing ??= this.#close(options);
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Calls `listener` on every event called `name`, until the returned function is called. */
  on<Name extends keyof ClientEvents>(name: Name, listener: (event: ClientEvents[Name]) => void): () => void {
    return this.#events.on(name, listener);
  }

  off<Name extends keyof ClientEvents>(name: Name, listener: (event: ClientEvents[Name]) => void): void {
    this.#events.off(name, listener);
  }

  status(): ClientStatus {
    const since = this.#outbox.oldestHeldSinceMs;
    return {
      connected: this.#link.isConnected,
      stream: this.#outbox.stream,
      pendingChanges: this.#outbox.heldChanges + this.#intake.openChanges,
      pendingBytes: this.pendingBytes,
      lagMs: since === undefined ? 0 : this.#parts.clock.monotonicMs() - since,
      waitingWrites: this.#intake.waitingCount,
      outstandingBytes: this.#outbox.outstandingBytes,
      creditBytes: this.#link.creditBytes,
      appliedChanges: this.#outbox.appliedChanges,
      rejectedChanges: this.#rejectedChanges,
      held: this.#heldBySpool ?? this.#heldByServer,
      failure: this.#failure,
    };
  }

  async #close({ flush = true, signal }: CloseOptions): Promise<FlushSummary> {
    let trouble: Error | undefined;
    const closed = new SyncError('client_closed', 'the client is closed; connect a new one to write more');
    this.#intake.refuse(closed);
    try {
      // Writes that wait for room were called before, and are let in.
      if (flush) await withSignal(this.#intake.drained(), signal);
      this.#intake.seal();
      await this.#flushes.wait(flush ? 'applied' : 'spooled', this.#outbox.newestOrder, signal);
    } catch (error) {
      trouble = error as Error;
    }
    this.#intake.stop(closed);
    this.#flushes.fail(closed);
    await this.#link.close();
    await this.#outbox.close();
    if (trouble !== undefined) throw trouble;
    return this.#summary();
  }

  /** Lets writes in, closes batches and wakes whoever waits; called for every acknowledgement that says something new. */
  #progressed(): void {
    this.#intake.admit();
    this.#intake.sealIfIdle();
    this.#flushes.progressed();
  }

  #welcomed(welcome: Welcome): SyncError | undefined {
    const facts = factsOf(welcome);
    const error = this.#misfit(facts);
    if (error !== undefined) return error;
    const note = encodeFacts(facts);
    const known = this.#intake.facts;
    if (known === undefined || encodeFacts(known) !== note) {
      this.#outbox.remember(note);
      this.#intake.learn(facts);
    }
    return undefined;
  }

  #opened({ node, producer, creditBytes }: Welcome): void {
    this.#heldByServer = undefined;
    this.#events.emit('connected', { node, producer, stream: this.#outbox.stream });
    if (creditBytes === 0) this.#serverHeld('the server takes nothing at the moment');
  }

  #misfit(facts: ServerFacts): SyncError | undefined {
    const { producer } = this.#settings;
    if (producer !== undefined && producer !== facts.producer) {
      return new SyncError(
        'wrong_producer',
        `the token belongs to producer "${facts.producer}", and this client was made for "${producer}"; use that producer's token`,
      );
    }
    const known = this.#intake.facts;
    const pending = this.#outbox.heldFrames > 0 || this.#intake.openChanges > 0;
    if (known === undefined || known.partitions === facts.partitions || !pending) return undefined;
    return new SyncError(
      'queue_mismatch',
      `the server has ${facts.partitions} partitions, and ${this.#outbox.heldChanges} changes that wait here were made for ${known.partitions}; point the client at the server that they were made for, or move its spool away`,
    );
  }

  #diverged(reason: string): void {
    this.#events.emit('diverged', { reason });
    if (this.#settings.onDiverged === 'stop') this.#link.fail(new SyncError('seq_content_mismatch', reason));
  }

  #rejected(partition: number, seq: number, rejected: Rejected, frame: HeldFrame | undefined): void {
    if (frame !== undefined) {
      // The server repeats what it reported when the connection was lost before APPLIED.
      const report = `${rejected.sink} ${rejected.code} ${rejected.changes.join()}`;
      frame.rejections ??= new Set();
      if (frame.rejections.has(report)) return;
      frame.rejections.add(report);
    }
    const rejection = rejectionOf(partition, seq, rejected, frame);
    const count = Math.max(1, rejection.changes.length);
    if (frame !== undefined) frame.rejectedChanges += count;
    this.#rejectedChanges += count;
    if (this.#rejections.length < MAX_SUMMARY_REJECTIONS) this.#rejections.push(rejection);
    this.#events.emit('rejected', rejection);
  }

  #serverHeld(reason: string | undefined): void {
    this.#heldByServer = reason;
    if (reason !== undefined) this.#events.emit('held', { by: 'server', reason });
    else this.#events.emit('resumed', { by: 'server' });
  }

  #spoolHeld(reason: string | undefined): void {
    this.#heldBySpool = reason;
    if (reason !== undefined) this.#events.emit('held', { by: 'spool', reason });
    else this.#events.emit('resumed', { by: 'spool' });
  }

  #failed(error: SyncError): void {
    this.#failure = error;
    this.#intake.stop(error);
    this.#flushes.fail(error);
    this.#events.emit('error', error);
  }

  #summary(): FlushSummary {
    const rejected = this.#rejectedChanges;
    const applied = this.#outbox.appliedChanges;
    const summary = {
      applied: applied - this.#told.applied,
      rejected: rejected - this.#told.rejected,
      rejections: this.#rejections,
      pending: this.#outbox.heldChanges + this.#intake.openChanges,
    };
    this.#told = { applied, rejected };
    this.#rejections = [];
    return summary;
  }
}

/** `promise`, or the reason of `signal` if that is aborted first. */
function withSignal(promise: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const aborted = () => reject(signal.reason as Error);
    if (signal.aborted) return aborted();
    signal.addEventListener('abort', aborted);
    void promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', aborted));
  });
}
