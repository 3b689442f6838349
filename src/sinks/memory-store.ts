import type { Clock } from '../core/clock.ts';
import type { Value } from '../core/change.ts';
import type { Place, StreamId } from '../core/stream.ts';
import { MemoryTable, textOfValues, type MemoryColumn, type MemoryRow, type MemoryTableDefinition } from './memory-table.ts';
import type { SinkSettings, StoredDeadLetter } from './sink.ts';

/** The database behind memory sinks: what several of them share is what nodes share. */
export class MemoryStore {
  readonly tables = new Map<string, MemoryTable>();
  /** Committed rows by table and key. */
  readonly rows = new Map<string, Map<string, MemoryRow>>();
  readonly watermarks = new Map<StreamId, Map<number, { readonly place: Place; readonly movedAtMs: number }>>();
  readonly streams = new Map<StreamId, { readonly producer: string; readonly expired: boolean }>();
  readonly letters = new Map<number, StoredDeadLetter>();
  settings: SinkSettings | undefined;
  readonly #locks = new Map<string, LockOwner>();
  readonly #waiting = new Set<() => void>();

  /** Creates a table, or replaces its definition and keeps its rows. */
  define(definition: MemoryTableDefinition): void {
    const all = [...[...this.tables.values()].map((table) => table.definition).filter(({ name }) => name !== definition.name), definition];
    const referenced = new Set(all.flatMap((table) => table.references ?? []).map(({ table }) => table));
    for (const each of all) {
      const known = this.tables.get(each.name);
      // A new object, as after any change of a schema, only where something changed.
      if (known?.definition !== each || (referenced.has(each.name) && known.independent))
        this.tables.set(each.name, new MemoryTable(each, referenced.has(each.name)));
    }
    if (!this.rows.has(definition.name)) this.rows.set(definition.name, new Map());
  }

  addColumn(table: string, name: string, column: MemoryColumn): void {
    const known = this.tables.get(table);
    if (known === undefined) throw new Error(`no table ${table}`);
    this.define({ ...known.definition, columns: { ...known.definition.columns, [name]: column } });
    const rows = this.#rowsOf(table);
    for (const [key, row] of rows) rows.set(key, { ...row, [name]: column.default ?? null });
  }

  /** Committed rows of `table`, in order of their keys' texts. */
  read(table: string): MemoryRow[] {
    return [...this.#rowsOf(table)].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row);
  }

  /** Puts a row there as somebody else would. */
  put(table: string, row: MemoryRow): void {
    const { key } = (this.tables.get(table) as MemoryTable).definition;
    this.#rowsOf(table).set(textOfValues(key.map((name) => row[name] as Value)), row);
  }

  /** Takes a lock for `owner`; false when somebody else holds it. Held until {@link releaseAll}. */
  lock(name: string, owner: LockOwner): boolean {
    const holder = this.#locks.get(name);
    if (holder !== undefined && holder !== owner && !holder.abandonIfFrozen()) return false;
    this.#locks.set(name, owner);
    return true;
  }

  releaseAll(owner: LockOwner): void {
    for (const [name, holder] of this.#locks) if (holder === owner) this.#locks.delete(name);
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }

  /** Resolves when any lock was released, or after `timeoutMs`. */
  released(clock: Clock, timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        timer.cancel();
        this.#waiting.delete(wake);
        resolve();
      };
      const timer = clock.setTimer(timeoutMs, wake);
      this.#waiting.add(wake);
    });
  }

  #rowsOf(table: string): Map<string, MemoryRow> {
    const rows = this.rows.get(table);
    if (rows === undefined) throw new Error(`no table ${table}`);
    return rows;
  }
}

/** Who holds locks: a transaction. */
export interface LockOwner {
  /** Rolls back a transaction that was silent for too long, as a server does; returns whether it was. */
  abandonIfFrozen(): boolean;
}

export function createMemoryStore(tables: readonly MemoryTableDefinition[] = []): MemoryStore {
  const store = new MemoryStore();
  for (const table of tables) store.define(table);
  return store;
}
