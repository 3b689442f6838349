import type { Compiled } from './compiled.ts';
import { compareKeys, keyTextOf, type IndexKey } from './keys.ts';
import { GapLocks, RecordLocks, type LockOwner } from './locks.ts';
import type { ColumnType } from './types.ts';
import type { Row, SqlValue, ValueType } from './values.ts';

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

/** An entry of a secondary index. Not live is one that an open transaction deleted, or one that is not purged yet. */
export interface IndexRecord {
  readonly index: Index;
  /** Another one where the row was purged and inserted again before the record was. */
  entry: Entry;
  /** The same for all with this value. */
  readonly text: string;
  /** The values of the index's columns, then the primary key, by which it is ordered. */
  readonly position: IndexKey;
  /** Under which it is locked. */
  readonly lockText: string;
  isLive: boolean;
}

export class Index {
  readonly name: string;
  readonly isUnique: boolean;
  readonly columns: readonly string[];
  readonly positions: readonly number[];
  readonly types: readonly ColumnType[];
  readonly gaps: GapLocks;
  /** The types of {@link IndexRecord.position}. */
  readonly #recordTypes: readonly ValueType[];
  /** Of a secondary index: by value, then by row. */
  readonly #records = new Map<string, Map<string, IndexRecord>>();
  readonly #locks = new Map<string, RecordLocks>();
  readonly #onMoved: (owner: LockOwner) => void;

  /** `primary` is the index that the records of a secondary one point to. */
  constructor(
    name: string,
    isUnique: boolean,
    positions: readonly number[],
    columns: readonly Column[],
    primary: Index | undefined,
    onMoved: (owner: LockOwner) => void,
  ) {
    this.name = name;
    this.isUnique = isUnique;
    this.positions = positions;
    this.columns = positions.map((position) => (columns[position] as Column).name);
    this.types = positions.map((position) => (columns[position] as Column).type);
    this.#recordTypes = [...this.types, ...(primary === undefined || primary.types.length > 0 ? (primary?.types ?? []) : ROW_NUMBER)];
    this.gaps = new GapLocks(this, onMoved);
    this.#onMoved = onMoved;
  }

  keyOf(row: Row): IndexKey {
    return this.positions.map((position) => row[position] as SqlValue);
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

  /** A record for a row, not in the index yet. */
  newRecord(entry: Entry, key: IndexKey): IndexRecord {
    const text = this.textOf(key);
    const position = [...key, ...entry.key];
    return { index: this, entry, text, position, lockText: `${text.length}:${text}${entry.text}`, isLive: true };
  }

  record(text: string, entry: Entry): IndexRecord | undefined {
    return this.#records.get(text)?.get(entry.text);
  }

  /** All records with a value, in their order. */
  recordsOf(text: string): readonly IndexRecord[] {
    const records = this.#records.get(text);
    if (records === undefined) return [];
    return records.size === 1 ? [...records.values()] : [...records.values()].sort((a, b) => this.#compare(a.position, b.position));
  }

  add(record: IndexRecord): void {
    const records = this.#records.get(record.text) ?? new Map<string, IndexRecord>();
    this.#records.set(record.text, records);
    records.set(record.entry.text, record);
  }

  remove(record: IndexRecord): void {
    const records = this.#records.get(record.text);
    records?.delete(record.entry.text);
    if (records?.size === 0) this.#records.delete(record.text);
  }

  /** The record after a place; undefined where the index ends. */
  next(position: IndexKey): IndexRecord | undefined {
    let next: IndexRecord | undefined;
    for (const records of this.#records.values()) {
      for (const each of records.values()) {
        if (this.#compare(each.position, position) > 0 && (next === undefined || this.#compare(each.position, next.position) < 0))
          next = each;
      }
    }
    return next;
  }

  #compare(a: IndexKey, b: IndexKey): number {
    return compareKeys(a, b, this.#recordTypes);
  }
}

const ROW_NUMBER = [{ kind: 'integer' as const }];

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

  /** Of {@link Entry.key}. */
  get keyTypes(): readonly ValueType[] {
    return this.hasPrimaryKey ? this.primary.types : ROW_NUMBER;
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
    this.#sorted ??= [...this.entries.values()].sort((a, b) => compareKeys(a.key, b.key, this.keyTypes));
    return this.#sorted;
  }

  /** The entry after a key; undefined where the table ends. */
  next(key: IndexKey): Entry | undefined {
    return this.sorted().find((each) => compareKeys(each.key, key, this.keyTypes) > 0);
  }

  #index(): void {
    this.#positions = new Map(this.columns.flatMap(({ name }, i) => [[name, i] as const, [name.toLowerCase(), i] as const]));
  }
}
