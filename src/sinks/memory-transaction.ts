import type { Row, Value } from '../core/change.ts';
import type { Clock } from '../core/clock.ts';
import { ERRORS, SyncError, type ChangeFault, type ErrorCode } from '../core/errors.ts';
import { START, type Place, type StreamId } from '../core/stream.ts';
import { assertDistinct } from './claims.ts';
import type { LockOwner, MemoryStore } from './memory-store.ts';
import { MemoryShape, textOfValues, type MemoryRow, type MemoryTable } from './memory-table.ts';
import type {
  DeadLetter,
  DeadLetterState,
  LockedPartition,
  PartitionClaims,
  PartitionMoves,
  Refusal,
  Shape,
  SinkTransaction,
  WriteGroup,
} from './sink.ts';

/** How long a lock of a watermark is waited for. */
const LOCK_WAIT_MS = 5000;
/** A transaction that says nothing for so long is rolled back when somebody waits for it. */
const FROZEN_AFTER_MS = 10_000;

/**
 * Sees what is committed and what it wrote itself. Watermarks, rows and unique values that it touched are locked until
 * it ends; a row that another transaction holds is `sink_busy` at once, so there are no deadlocks.
 */
export class MemoryTransaction implements SinkTransaction, LockOwner {
  readonly partitions: LockedPartition[] = [];
  readonly #store: MemoryStore;
  readonly #clock: Clock;
  readonly #producers = new Map<StreamId, string>();
  /** Written rows by table and key; null is a deleted one. */
  readonly #written = new Map<string, Map<string, MemoryRow | null>>();
  readonly #marks = new Map<number, DeadLetterState>();
  #state: 'open' | 'ended' | 'lost' = 'open';
  #lastUsedMs: number;

  constructor(store: MemoryStore, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
    this.#lastUsedMs = clock.monotonicMs();
  }

  /** Locks and reads the watermarks. */
  async claim(claims: readonly PartitionClaims[]): Promise<void> {
    assertDistinct(claims);
    const deadline = this.#clock.monotonicMs() + LOCK_WAIT_MS;
    const locked = new Map<number, LockedPartition>();
    for (const { partition, streams } of claims.toSorted((a, b) => a.partition - b.partition)) {
      const watermarks = new Map<StreamId, Place>();
      const refused = new Map<StreamId, Refusal>();
      for (const { stream, producer } of streams.toSorted((a, b) => (a.stream < b.stream ? -1 : 1))) {
        await this.#waitForLock(`watermark ${stream} ${partition}`, deadline);
        const known = this.#store.streams.get(stream);
        // Of two that claim a new stream in different partitions, the first has it.
        const owner = known?.producer ?? this.#producers.get(stream) ?? producer;
        if (owner !== producer) refused.set(stream, 'stream_owned_by_other');
        else if (known?.expired) refused.set(stream, 'stream_expired');
        else this.#producers.set(stream, producer);
        watermarks.set(stream, this.#store.watermarks.get(stream)?.get(partition)?.place ?? START);
      }
      locked.set(partition, { partition, watermarks, refused });
    }
    for (const { partition } of claims) this.partitions.push(locked.get(partition) as LockedPartition);
    this.#touch();
  }

  async write(groups: readonly WriteGroup[]): Promise<void> {
    this.#touch();
    for (const { shape, rows } of groups) {
      for (const row of rows) {
        const fault = this.#apply(shape, row);
        if (fault !== undefined) throw new SyncError(fault.code, fault.message);
      }
    }
  }

  async writeOne(shape: Shape, row: Row): Promise<ChangeFault | undefined> {
    this.#touch();
    return this.#apply(shape, row);
  }

  async commit(moves: readonly PartitionMoves[], deadLetters: readonly DeadLetter[]): Promise<void> {
    this.#touch();
    const nowMs = this.#clock.wallMs();
    for (const { partition, places } of moves) {
      const locked = this.partitions.find((one) => one.partition === partition);
      for (const [stream, { seq }] of places) {
        const before = locked?.watermarks.get(stream);
        if (before === undefined || !this.#producers.has(stream)) throw new Error(`stream ${stream} has no part in this transaction`);
        if (seq < before.seq) throw new Error(`watermark of ${stream} would move back to ${seq}`);
      }
    }
    for (const [table, rows] of this.#written) {
      const committed = this.#rowsOf(table);
      for (const [key, row] of rows) {
        if (row === null) committed.delete(key);
        else committed.set(key, row);
      }
    }
    for (const { partition, places } of moves) {
      for (const [stream, place] of places) {
        this.#store.streams.set(stream, { producer: this.#producers.get(stream) as string, expired: false });
        const all = this.#store.watermarks.get(stream) ?? new Map<number, { place: Place; movedAtMs: number }>();
        this.#store.watermarks.set(stream, all.set(partition, { place, movedAtMs: nowMs }));
      }
    }
    const { letters } = this.#store;
    for (const letter of deadLetters) letters.set(letters.size + 1, { ...letter, id: letters.size + 1, state: 'open', createdAtMs: nowMs });
    for (const [id, state] of this.#marks) {
      const letter = letters.get(id);
      if (letter !== undefined) letters.set(id, { ...letter, state });
    }
    this.#end('ended');
  }

  async rollback(): Promise<void> {
    if (this.#state === 'open') this.#end('ended');
  }

  get hasEnded(): boolean {
    return this.#state !== 'open';
  }

  /** Marks an open dead letter; returns whether it was open. */
  mark(id: number, state: DeadLetterState): boolean {
    this.#touch();
    this.#lock(`letter ${id}`);
    if (this.#store.letters.get(id)?.state !== 'open') return false;
    this.#marks.set(id, state);
    return true;
  }

  abandonIfFrozen(): boolean {
    if (this.#state !== 'open') return true;
    if (this.#clock.monotonicMs() - this.#lastUsedMs < FROZEN_AFTER_MS) return false;
    this.abandon();
    return true;
  }

  /** Rolls it back from outside, as when its connection died. */
  abandon(): void {
    if (this.#state === 'open') this.#end('lost');
  }

  #end(state: 'ended' | 'lost'): void {
    this.#state = state;
    this.#store.releaseAll(this);
  }

  async #waitForLock(name: string, deadlineMs: number): Promise<void> {
    while (!this.#store.lock(name, this)) {
      const left = deadlineMs - this.#clock.monotonicMs();
      if (left <= 0) throw new SyncError('sink_busy', `memory: a watermark was locked for ${LOCK_WAIT_MS} ms`);
      await this.#store.released(this.#clock, left);
      if (this.#state !== 'open') throw new SyncError('sink_unavailable', 'memory: the transaction was rolled back');
    }
  }

  #touch(): void {
    if (this.#state === 'lost') throw new SyncError('sink_unavailable', 'memory: the transaction was rolled back');
    if (this.#state === 'ended') throw new Error('the transaction has ended');
    this.#lastUsedMs = this.#clock.monotonicMs();
  }

  #lock(name: string): void {
    if (!this.#store.lock(name, this)) throw new SyncError('sink_busy', 'memory: a row is locked by another transaction');
  }

  #apply(shape: Shape, row: Row): ChangeFault | undefined {
    if (!(shape instanceof MemoryShape)) throw new TypeError('the shape is of another sink');
    const table = this.#store.tables.get(shape.table.name) ?? shape.table;
    const fault = (code: ErrorCode) => ({ code, message: `${table.name}: ${ERRORS[code].meaning}` });
    const key = shape.keyOf(row);
    this.#lock(`row ${table.name} ${key}`);
    const before = this.#find(table.name, key);
    if (shape.op === 'delete') {
      if (before === undefined) return undefined;
      if (this.#isReferenced(table, key)) return fault('foreign_key');
      this.#lockUnique(table, before);
      this.#put(table.name, key, null);
      return undefined;
    }
    if (shape.op === 'insert' && before !== undefined) return fault('duplicate_key');
    if (shape.op === 'update' && before === undefined) return fault('row_missing');
    if (before === undefined && !shape.suffices) return fault('null_not_allowed');
    const after: Record<string, Value> = { ...(before ?? emptyRow(table)) };
    for (const [index, column] of shape.columns.entries()) after[column] = row[index] as Value;
    const code = this.#constraint(table, key, after);
    if (code !== undefined) return fault(code);
    if (before !== undefined) this.#lockUnique(table, before);
    this.#lockUnique(table, after);
    this.#put(table.name, key, after);
    return undefined;
  }

  #constraint(table: MemoryTable, key: string, row: MemoryRow): ErrorCode | undefined {
    const { unique, references, check } = table.definition;
    if (check?.(row) === false) return 'check_failed';
    for (const columns of unique ?? []) {
      const text = indexText(columns, row);
      if (text === undefined) continue;
      for (const [other, otherRow] of this.#all(table.name))
        if (other !== key && indexText(columns, otherRow) === text) return 'duplicate_unique';
    }
    for (const { columns, table: parent } of references ?? []) {
      const text = indexText(columns, row);
      if (text === undefined) continue;
      this.#lock(`row ${parent} ${text}`);
      if (this.#find(parent, text) === undefined) return 'foreign_key';
    }
    return undefined;
  }

  #isReferenced(parent: MemoryTable, key: string): boolean {
    for (const { definition } of this.#store.tables.values()) {
      for (const { columns, table } of definition.references ?? []) {
        if (table !== parent.name) continue;
        for (const [, row] of this.#all(definition.name)) if (indexText(columns, row) === key) return true;
      }
    }
    return false;
  }

  /** So that no other transaction takes a unique value that this one gives or frees. */
  #lockUnique(table: MemoryTable, row: MemoryRow): void {
    for (const [index, columns] of (table.definition.unique ?? []).entries()) {
      const text = indexText(columns, row);
      if (text !== undefined) this.#lock(`unique ${table.name} ${index} ${text}`);
    }
  }

  #find(table: string, key: string): MemoryRow | undefined {
    const written = this.#written.get(table)?.get(key);
    return written === undefined ? this.#rowsOf(table).get(key) : (written ?? undefined);
  }

  *#all(table: string): Generator<[string, MemoryRow]> {
    const written = this.#written.get(table);
    for (const [key, row] of this.#rowsOf(table)) if (written?.has(key) !== true) yield [key, row];
    for (const [key, row] of written ?? []) if (row !== null) yield [key, row];
  }

  #put(table: string, key: string, row: MemoryRow | null): void {
    const written = this.#written.get(table) ?? new Map<string, MemoryRow | null>();
    this.#written.set(table, written.set(key, row));
  }

  #rowsOf(table: string): Map<string, MemoryRow> {
    return this.#store.rows.get(table) ?? new Map<string, MemoryRow>();
  }
}

function emptyRow(table: MemoryTable): MemoryRow {
  return Object.fromEntries(Object.entries(table.definition.columns).map(([name, column]) => [name, column.default ?? null]));
}

/** The values of an index, as a key's text; undefined when one of them is null and the index therefore does not apply. */
function indexText(columns: readonly string[], row: MemoryRow): string | undefined {
  const values = columns.map((column) => row[column] ?? null);
  return values.includes(null) ? undefined : textOfValues(values);
}
