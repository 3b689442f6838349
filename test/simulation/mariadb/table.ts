import type { Compiled } from './compiled.ts';
import { compareKeys, keyTextOf, type IndexKey } from './keys.ts';
import { GapLocks, RecordLocks, type LockOwner } from './locks.ts';
import type { ColumnType } from './types.ts';
import type { Row, SqlValue } from './values.ts';

export interface Column {
  readonly name: string;
  readonly type: ColumnType;
  readonly notNull: boolean;
  /** Undefined when there is none. */
  readonly default: SqlValue | undefined;
  readonly autoIncrement: boolean;
}

export interface Check {
  readonly name: string;
  readonly text: string;
  readonly condition: Compiled;
}

export interface ForeignKey {
  readonly name: string;
  readonly child: Table;
  /** The child's index on its columns. */
  readonly childIndex: Index;
  readonly parent: Table;
  readonly parentIndex: Index;
  readonly onDelete: 'restrict' | 'cascade';
}

/** A row of a table in all its versions: the last committed one, and the one that an open transaction made of it. */
export interface Entry {
  readonly text: string;
  readonly key: IndexKey;
  /** Undefined where it is deleted. */
  row: Row | undefined;
  committed: Row | undefined;
  /** The open transaction that wrote {@link Entry.row}. */
  writer: LockOwner | undefined;
}

/** The rows with one value of a secondary index. Not live are those that an open transaction deleted or moved away. */
export interface Slot {
  readonly text: string;
  readonly key: IndexKey;
  readonly rows: Map<string, { readonly entry: Entry; isLive: boolean }>;
}

export class Index {
  readonly name: string;
  readonly isUnique: boolean;
  readonly columns: readonly string[];
  readonly positions: readonly number[];
  readonly types: readonly ColumnType[];
  readonly gaps: GapLocks;
  /** Of a secondary index. */
  readonly slots = new Map<string, Slot>();
  readonly #locks = new Map<string, RecordLocks>();
  readonly #onMoved: (owner: LockOwner) => void;

  constructor(
    name: string,
    isUnique: boolean,
    positions: readonly number[],
    columns: readonly Column[],
    onMoved: (owner: LockOwner) => void,
  ) {
    this.name = name;
    this.isUnique = isUnique;
    this.positions = positions;
    this.columns = positions.map((position) => (columns[position] as Column).name);
    this.types = positions.map((position) => (columns[position] as Column).type);
    this.gaps = new GapLocks(this, this.types, onMoved);
    this.#onMoved = onMoved;
  }

  /** The row's key here; undefined when part of it is null. */
  keyOf(row: Row): IndexKey | undefined {
    const key = this.positions.map((position) => row[position] as SqlValue);
    return key.includes(null) ? undefined : key;
  }

  textOf(key: IndexKey): string {
    return keyTextOf(key, this.types);
  }

  /** The locks of a record, as far as there are any. */
  peekLocks(text: string): RecordLocks | undefined {
    return this.#locks.get(text);
  }

  locks(text: string): RecordLocks {
    let locks = this.#locks.get(text);
    if (locks === undefined) {
      locks = new RecordLocks(this, () => this.#locks.delete(text), this.#onMoved);
      this.#locks.set(text, locks);
    }
    return locks;
  }

  slot(text: string, key: IndexKey): Slot {
    let slot = this.slots.get(text);
    if (slot === undefined) {
      slot = { text, key, rows: new Map() };
      this.slots.set(text, slot);
    }
    return slot;
  }

  /** The neighbours of a key among those of `records`. */
  neighbours(key: IndexKey, records: Iterable<{ readonly key: IndexKey }>): { low: IndexKey | undefined; high: IndexKey | undefined } {
    let low: IndexKey | undefined;
    let high: IndexKey | undefined;
    for (const { key: each } of records) {
      const order = compareKeys(each, key, this.types);
      if (order < 0 && (low === undefined || compareKeys(each, low, this.types) > 0)) low = each;
      if (order > 0 && (high === undefined || compareKeys(each, high, this.types) < 0)) high = each;
    }
    return { low, high };
  }
}

export class Table {
  readonly name: string;
  columns: readonly Column[];
  readonly primary: Index;
  /** Without a primary key rows have hidden numbers. */
  readonly hasPrimaryKey: boolean;
  readonly secondary: readonly Index[];
  readonly checks: readonly Check[];
  readonly foreignKeys: ForeignKey[] = [];
  readonly referencedBy: ForeignKey[] = [];
  readonly entries = new Map<string, Entry>();
  /** Held by transactions that use the table, so that nobody changes its definition. */
  readonly definition: RecordLocks;
  nextAutoIncrement = 1;
  /** In place of a primary key. */
  nextRowNumber = 1;
  #positions = new Map<string, number>();
  #sorted: readonly Entry[] | undefined;

  constructor(
    name: string,
    columns: readonly Column[],
    indexes: { readonly primary: Index; readonly secondary: readonly Index[] },
    checks: readonly Check[],
    onMoved: (owner: LockOwner) => void,
  ) {
    this.name = name;
    this.columns = columns;
    this.primary = indexes.primary;
    this.hasPrimaryKey = this.primary.positions.length > 0;
    this.secondary = indexes.secondary;
    this.checks = checks;
    this.definition = new RecordLocks(undefined, () => {}, onMoved);
    this.#index();
  }

  /** Column names are the same in any case. */
  position(name: string): number | undefined {
    return this.#positions.get(name) ?? this.#positions.get(name.toLowerCase());
  }

  index(name: string): Index | undefined {
    return name.toUpperCase() === 'PRIMARY' && this.hasPrimaryKey ? this.primary : this.secondary.find((index) => index.name === name);
  }

  /** Adds a column at the end, with its default in every row. */
  addColumn(column: Column): void {
    this.columns = [...this.columns, column];
    this.#index();
    const value = column.default ?? null;
    for (const entry of this.entries.values()) {
      if (entry.committed !== undefined) entry.committed = [...entry.committed, value];
      entry.row = entry.committed;
    }
  }

  add(entry: Entry): void {
    this.entries.set(entry.text, entry);
    this.#sorted = undefined;
  }

  remove(entry: Entry): void {
    this.entries.delete(entry.text);
    this.#sorted = undefined;
  }

  /** All entries in the order of the primary key. */
  sorted(): readonly Entry[] {
    this.#sorted ??= [...this.entries.values()].sort((a, b) =>
      compareKeys(a.key, b.key, this.hasPrimaryKey ? this.primary.types : ROW_NUMBER),
    );
    return this.#sorted;
  }

  #index(): void {
    this.#positions = new Map(this.columns.flatMap(({ name }, i) => [[name, i] as const, [name.toLowerCase(), i] as const]));
  }
}

const ROW_NUMBER = [{ kind: 'integer' as const }];
