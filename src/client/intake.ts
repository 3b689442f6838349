import type { Op, Value } from '../core/change.ts';
import type { Clock, Timer } from '../core/clock.ts';
import { SyncError } from '../core/errors.ts';
import { BatchBuilder } from '../protocol/batch.ts';
import { HEADER_BYTES } from '../protocol/frame.ts';
import { MAX_CHANGES } from '../protocol/limits.ts';
import { encodeValue } from '../protocol/msgpack.ts';
import type { Outbox } from './outbox.ts';
import type { InputRow, PreparedChange } from './row-plan.ts';
import type { ServerFacts } from './server-facts.ts';
import type { Change, KeyValue, TableSource } from './table.ts';

export interface IntakeSettings {
  /** A batch is closed when it reaches this size. */
  readonly batchBytes: number;
  /** A change waits at most this long for others to share its batch. */
  readonly lingerMs: number;
  /** Writes wait while this much is not applied yet. */
  readonly bufferBytes: number;
  /**
   * When a batch is closed: at its size, after a while, or when nothing else is under way (the default); or at its size
   * alone and by {@link Intake.seal}, so that the same changes always make the same batches.
   */
  readonly cut?: 'early' | 'by size';
  /** What every batch names as its origin. */
  readonly origin?: Value;
  /** Keeps of each change its place among all that were taken, for rejections to name. */
  readonly numbered?: boolean;
}

/** Writes that may wait for room at the same time; more means that nobody awaits them. */
export const MAX_WAITING_WRITES = 1_000_000;
/** After this much, a write resolves in the next turn of the event loop, so that a loop of writes lets the socket run. */
const TURN_BYTES = 256 * 1024;

/** A write that waits for room, or for the first WELCOME; with no changes it only marks a place in the line. */
interface Waiting {
  readonly changes: () => readonly PreparedChange[];
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** Takes changes in the order of the calls, holds them back while the buffer is full, and makes batches of them. */
export class Intake {
  readonly #outbox: Outbox;
  readonly #clock: Clock;
  readonly #settings: IntakeSettings;
  readonly #open = new Map<number, BatchBuilder>();
  /** The change that was accepted last. */
  #last: PreparedChange | undefined;
  /** Bytes in open batches. */
  #openBytes = 0;
  #openChanges = 0;
  /** Changes that were ever taken, and the numbers of those in each open batch, where they are kept. */
  #takenCount = 0;
  readonly #numbers = new Map<number, number[]>();
  #facts: ServerFacts | undefined;
  #waiting: Waiting[] = [];
  #waitingAt = 0;
  #linger: Timer | undefined;
  #sealDeferred = false;
  #refusal: Error | undefined;
  #turn: Promise<void> | undefined;
  #turnBytes = 0;
  /** Encodes what must be checked before it is accepted. */
  readonly #trial = new BatchBuilder();
  /** What the origin takes of every payload. */
  readonly #originBytes: number;

  constructor(outbox: Outbox, clock: Clock, settings: IntakeSettings) {
    this.#outbox = outbox;
    this.#clock = clock;
    this.#settings = settings;
    this.#originBytes = settings.origin === undefined ? 0 : ORIGIN_KEY_BYTES + encodeValue(settings.origin).length;
  }

  get openBytes(): number {
    return this.#openBytes;
  }

  /** Changes that are accepted and not in a frame yet. */
  get openChanges(): number {
    return this.#openChanges;
  }

  get waitingCount(): number {
    return this.#waiting.length - this.#waitingAt;
  }

  get facts(): ServerFacts | undefined {
    return this.#facts;
  }

  /** What the server said last; from the first time on, writes are accepted. */
  learn(facts: ServerFacts): void {
    this.#facts = facts;
    this.admit();
  }

  /** Takes one change; see {@link import('./table.ts').Table}. */
  write(table: TableSource, op: Op, row: InputRow | KeyValue): Promise<void> {
    try {
      return this.take(table, op, row) ?? ACCEPTED;
    } catch (error) {
      return Promise.reject(asError(error));
    }
  }

  /** As {@link write}, but throws what that rejects with at once, and returns nothing when there is nothing to wait for. */
  take(table: TableSource, op: Op, row: InputRow | KeyValue): Promise<void> | undefined {
    if (this.#refusal !== undefined) throw this.#refusal;
    if (this.#facts === undefined) return this.#wait(() => [this.#prepare(table, op, row)]);
    const change = this.#prepare(table, op, row);
    if (this.waitingCount > 0 || this.#isFull) return this.#waitWith([change]);
    this.#accept(change);
    return this.#accepted();
  }

  /** Throws what {@link write} would reject with because of the row; takes nothing. Not before the first {@link learn}. */
  check(table: TableSource, op: Op, row: InputRow | KeyValue): void {
    this.#try([this.#prepare(table, op, row)]);
  }

  /** Takes changes that become one atomic unit. */
  writeAll(changes: readonly Change[]): Promise<void> {
    if (this.#refusal !== undefined) return Promise.reject(this.#refusal);
    if (changes.length === 0) return Promise.resolve();
    const prepareAll = () => this.#prepareAll(changes);
    if (this.#facts === undefined) return this.#wait(prepareAll);
    try {
      const prepared = prepareAll();
      if (this.waitingCount > 0 || this.#isFull) return this.#waitWith(prepared);
      this.#acceptAll(prepared);
    } catch (error) {
      return Promise.reject(asError(error));
    }
    return this.#accepted() ?? ACCEPTED;
  }

  /** Resolves when every write that was called before is accepted or refused. */
  drained(): Promise<void> {
    if (this.waitingCount === 0) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ changes: () => [], resolve, reject: () => resolve() }));
  }

  /** Lets writes in that wait, as far as there is room. */
  admit(): void {
    if (this.#facts === undefined) return;
    while (this.waitingCount > 0 && !this.#isFull) {
      const next = this.#waiting[this.#waitingAt]!;
      this.#waitingAt += 1;
      if (this.#waitingAt * 2 > this.#waiting.length) {
        this.#waiting.splice(0, this.#waitingAt);
        this.#waitingAt = 0;
      }
      try {
        this.#acceptAll(next.changes());
        next.resolve();
      } catch (error) {
        next.reject(error);
      }
    }
  }

  /** Closes every open batch if nothing is under way: waiting for more would gain nothing. */
  sealIfIdle(): void {
    if (this.#openBytes > 0 && this.#settings.cut !== 'by size' && this.#outbox.isIdle) this.seal();
  }

  /** Closes every open batch. */
  seal(): void {
    this.#linger?.cancel();
    this.#linger = undefined;
    for (const [partition, builder] of this.#open) if (builder.count > 0) this.#close(partition, builder);
  }

  /** Refuses further writes; those that wait are still let in. */
  refuse(reason: Error): void {
    this.#refusal ??= reason;
  }

  /** Refuses further writes and those that wait; what was accepted stays. */
  stop(reason: Error): void {
    this.refuse(reason);
    this.#linger?.cancel();
    this.#linger = undefined;
    const waiting = this.#waiting.slice(this.#waitingAt);
    this.#waiting = [];
    this.#waitingAt = 0;
    for (const one of waiting) one.reject(reason);
  }

  get #isFull(): boolean {
    return this.#outbox.heldBytes + this.#openBytes >= this.#settings.bufferBytes;
  }

  get #maxPayloadBytes(): number {
    return this.#facts!.maxFrameBytes - HEADER_BYTES - this.#originBytes;
  }

  #prepare(table: TableSource, op: Op, row: InputRow | KeyValue): PreparedChange {
    const change = table.prepare(this.#facts!, op, row);
    if (change.byteBound > this.#maxPayloadBytes) this.#try([change]);
    return change;
  }

  #prepareAll(changes: readonly Change[]): PreparedChange[] {
    const prepared = changes.map(({ table, op, row }) => table.prepare(this.#facts!, op, row));
    const first = prepared[0]!;
    const stray = prepared.findIndex((change) => change.partition !== first.partition);
    if (stray > 0) throw strayError(first, stray, prepared[stray]!);
    this.#try(prepared);
    return prepared;
  }

  /**
   * Encodes changes for nothing, so that they cannot fail later, and returns the bytes they take together.
   * @throws {TypeError} for what cannot be sent. @throws {SyncError} `frame_too_large`.
   */
  #try(changes: readonly PreparedChange[]): number {
    if (changes.length > MAX_CHANGES / 2) {
      throw new SyncError(
        'frame_too_large',
        `a batch of ${changes.length} changes is more than the ${MAX_CHANGES / 2} that go into one; divide it`,
      );
    }
    const trial = this.#trial;
    try {
      for (const one of changes) trial.add(one.table, one.op, one.keyCount, one.columns, one.values);
      if (trial.byteLength <= this.#maxPayloadBytes) return trial.byteLength;
      const what = changes.length === 1 ? 'a row' : `a batch of ${changes.length} changes beginning with one`;
      throw new SyncError(
        'frame_too_large',
        `${what} of table "${changes[0]!.table}" takes ${trial.byteLength} bytes, more than the ${this.#maxPayloadBytes} that the server allows; make it smaller, or raise ingest.maxFrameBytes there`,
      );
    } finally {
      if (trial.count > 0) trial.finish();
    }
  }

  #acceptAll(changes: readonly PreparedChange[]): void {
    if (changes.length === 1) return this.#accept(changes[0]!);
    if (changes.length === 0) return;
    const { partition } = changes[0]!;
    const builder = this.#builder(partition);
    // All of it must be in one frame, the atomic unit; a batch that just fits does not grow beyond its size either.
    this.#partFromOthers(changes[0]!);
    if (builder.count > 0 && builder.byteLength + this.#try(changes) > this.#settings.batchBytes) this.#close(partition, builder);
    for (const change of changes) this.#add(builder, change);
    this.#last = changes.at(-1);
    this.#closeOrLinger(partition, builder);
  }

  #accept(change: PreparedChange): void {
    const builder = this.#builder(change.partition);
    this.#partFromOthers(change);
    if (builder.count > 0 && builder.byteLength + change.byteBound > this.#maxPayloadBytes) this.#close(change.partition, builder);
    this.#add(builder, change);
    this.#closeOrLinger(change.partition, builder);
  }

  /**
   * Closes every open batch before a change that must not share one with those before it: when table or operation change
   * and either table is dependent. A batch waits as a whole for other partitions, so batches that hold each a parent and
   * the other's child would wait for one another. What was closed together can only depend on what was closed before.
   */
  #partFromOthers(change: PreparedChange): void {
    const last = this.#last;
    this.#last = change;
    if (last === undefined || this.#openChanges === 0 || (last.table === change.table && last.op === change.op)) return;
    const { tables } = this.#facts!;
    if (tables.get(last.table)?.dependent === true || tables.get(change.table)?.dependent === true) this.seal();
  }

  #add(builder: BatchBuilder, change: PreparedChange): void {
    const before = builder.byteLength;
    builder.add(change.table, change.op, change.keyCount, change.columns, change.values);
    this.#openBytes += builder.byteLength - before;
    this.#turnBytes += builder.byteLength - before;
    this.#openChanges += 1;
    if (this.#settings.numbered === true) this.#numbersOf(change.partition).push(this.#takenCount);
    this.#takenCount += 1;
  }

  #closeOrLinger(partition: number, builder: BatchBuilder): void {
    if (builder.byteLength >= Math.min(this.#settings.batchBytes, this.#maxPayloadBytes) || builder.count >= MAX_CHANGES / 2) {
      return this.#close(partition, builder);
    }
    if (this.#linger !== undefined || this.#sealDeferred || this.#settings.cut === 'by size') return;
    if (this.#outbox.isIdle || this.#settings.lingerMs === 0) {
      this.#sealDeferred = true;
      this.#clock.defer(() => {
        this.#sealDeferred = false;
        this.seal();
      });
    } else {
      this.#linger = this.#clock.setTimer(this.#settings.lingerMs, () => this.seal());
    }
  }

  #close(partition: number, builder: BatchBuilder): void {
    const { byteLength, count } = builder;
    this.#openBytes -= byteLength;
    this.#openChanges -= count;
    const { origin } = this.#settings;
    this.#outbox.add(partition, builder.finish(origin === undefined ? {} : { origin }), count, this.#numbers.get(partition));
    this.#numbers.delete(partition);
  }

  #numbersOf(partition: number): number[] {
    let numbers = this.#numbers.get(partition);
    if (numbers === undefined) this.#numbers.set(partition, (numbers = []));
    return numbers;
  }

  #builder(partition: number): BatchBuilder {
    let builder = this.#open.get(partition);
    if (builder === undefined) this.#open.set(partition, (builder = new BatchBuilder()));
    return builder;
  }

  #accepted(): Promise<void> | undefined {
    if (this.#turn !== undefined) return this.#turn;
    if (this.#turnBytes < TURN_BYTES) return undefined;
    this.#turnBytes = 0;
    this.#turn = new Promise((resolve) => {
      this.#clock.defer(() => {
        this.#turn = undefined;
        resolve();
      });
    });
    return this.#turn;
  }

  #waitWith(changes: readonly PreparedChange[]): Promise<void> {
    this.#try(changes);
    const kept = changes.map(keep);
    return this.#wait(() => kept);
  }

  #wait(changes: () => readonly PreparedChange[]): Promise<void> {
    if (this.waitingCount >= MAX_WAITING_WRITES) {
      return Promise.reject(
        new SyncError(
          'buffer_full',
          `${MAX_WAITING_WRITES} writes wait for room in a buffer of ${this.#settings.bufferBytes} bytes; await each write before the next`,
        ),
      );
    }
    return new Promise((resolve, reject) => this.#waiting.push({ changes, resolve, reject }));
  }
}

const ACCEPTED: Promise<void> = Promise.resolve();
/** The key `o` of a batch. */
const ORIGIN_KEY_BYTES = 2;

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

/** The change with byte arrays of its own: the caller may use its arrays again while the write waits. */
function keep(change: PreparedChange): PreparedChange {
  if (!change.values.some((value) => value instanceof Uint8Array)) return change;
  return { ...change, values: change.values.map((value) => (value instanceof Uint8Array ? Uint8Array.from(value) : value)) };
}

function strayError(first: PreparedChange, index: number, stray: PreparedChange): TypeError {
  return new TypeError(
    `a batch is atomic and must stay in one partition: change 0 (table "${first.table}") belongs in partition ${first.partition}, ` +
      `change ${index} (table "${stray.table}") in partition ${stray.partition}; rows that belong together get one partition when the server's ` +
      'configuration gives their tables the same partitionBy, such as { group: "order", columns: ["order_id"] }',
  );
}
