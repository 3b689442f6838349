// Hot path
import { strict as assert } from 'node:assert';
import type { Row, Value } from '../../core/change.ts';
import type { ColumnCodec, ColumnDefinition, NonNull } from './columns.ts';
import { quoteName, quoteNames } from './sql.ts';
import type { MysqlShape } from './table.ts';

/** Alias of the new row in MySQL's `ON DUPLICATE KEY UPDATE`. */
const NEW_ROW = 'syncline_new';

/** How rows of one shape may be written so that the outcome is that of writing them one after the other. */
export interface Plan {
  /** A row whose key exists can pass through INSERT … ON DUPLICATE KEY UPDATE: nothing looks at the row before its key does. */
  readonly viaInsert: boolean;
  /** No other unique index: only the key decides whether a row exists. */
  readonly soleUnique: boolean;
  /** One UPDATE may set many rows: none of its columns lets one row decide about another. */
  readonly groupsUpdates: boolean;
  readonly groupsDeletes: boolean;
  /** Rows can be counted and locked by an UPDATE that changes nothing: no trigger would run for it. */
  readonly countable: boolean;
}

/**
 * The statements for one shape. Text is built by concatenation, with one call per value: a statement is some hundred
 * kilobytes of rows, and everything that does not depend on the row is made here, once.
 */
export class Statements {
  readonly plan: Plan;
  readonly #codecs: readonly ColumnCodec[];
  readonly #keyCodecs: readonly ColumnCodec[];
  readonly #columnCount: number;
  readonly #keyCount: number;
  readonly #insertHead: string;
  readonly #replaceTail: string;
  readonly #target: string;
  readonly #keyList: string;
  readonly #keyNames: readonly string[];
  /** What stands before and after the literals of each key column in a list of keys. */
  readonly #conversions: readonly (readonly [before: string, after: string])[];
  readonly #setNames: readonly string[];
  readonly #deleteHead: string;

  constructor(shape: MysqlShape, mariadb: boolean) {
    const names = shape.columns.map(quoteName);
    const table = quoteName(shape.table.name);
    this.plan = planOf(shape);
    this.#codecs = shape.codecs;
    this.#keyCodecs = shape.codecs.slice(0, shape.keyCount);
    this.#columnCount = names.length;
    this.#keyCount = shape.keyCount;
    this.#keyNames = names.slice(0, shape.keyCount);
    this.#setNames = names.slice(shape.keyCount);
    this.#conversions = shape.keyDefinitions.map(conversionOf);
    this.#keyList = shape.keyCount === 1 ? (names[0] as string) : `(${this.#keyNames.join(',')})`;
    // Without the hint the server may read the whole of a small table, and wait for rows that other partitions hold.
    this.#target = `${table} FORCE INDEX (${quoteName(shape.keyIndex.name)})`;
    this.#insertHead = `INSERT INTO ${table} (${quoteNames(shape.columns)}) VALUES `;
    this.#deleteHead = `DELETE FROM ${table} WHERE `;
    // With nothing to set, the first key column is set to itself: an UPDATE that only finds the row.
    const sets = this.#setNames.map((name) => `${name}=${mariadb ? `VALUES(${name})` : `${NEW_ROW}.${name}`}`);
    const nothing = `${table}.${names[0]}=${table}.${names[0]}`;
    this.#replaceTail = `${mariadb ? '' : ` AS ${NEW_ROW}`} ON DUPLICATE KEY UPDATE ${sets.length === 0 ? nothing : sets.join(',')}`;
  }

  /** `(1,'a',NULL)`. */
  tuple(row: Row): string {
    let sql = '(';
    for (let i = 0; i < this.#columnCount; i++) {
      if (i > 0) sql += ',';
      sql += literal(this.#codecs[i] as ColumnCodec, row[i] as Value);
    }
    return `${sql})`;
  }

  /** The key's value in a list of keys: `1`, or `(1,'a')` for several columns. */
  keyTuple(row: Row): string {
    if (this.#keyCount === 1) return (this.#keyCodecs[0] as ColumnCodec).literal(row[0] as NonNull);
    let sql = '(';
    for (let i = 0; i < this.#keyCount; i++) {
      const [before, after] = this.#conversions[i] as readonly [string, string];
      if (i > 0) sql += ',';
      sql += before + (this.#keyCodecs[i] as ColumnCodec).literal(row[i] as NonNull) + after;
    }
    return `${sql})`;
  }

  /** `a=1 AND b='x'`: the server finds one row by it through the index, which it does not always do for `(a,b)=(1,'x')`. */
  #isRow(row: Row): string {
    let sql = '';
    for (let i = 0; i < this.#keyCount; i++) {
      sql += `${i > 0 ? ' AND ' : ''}${this.#keyNames[i] as string}=${(this.#keyCodecs[i] as ColumnCodec).literal(row[i] as NonNull)}`;
    }
    return sql;
  }

  insert(tuples: string): string {
    return this.#insertHead + tuples;
  }

  insertOrUpdate(tuples: string): string {
    return this.#insertHead + tuples + this.#replaceTail;
  }

  /**
   * Locks the rows that exist and changes nothing; it matches as many as there are. (A SELECT that counts them would be
   * answered from the index alone, for which the server likes to read, and lock, all of a small table.)
   */
  lockExisting(keys: string): string {
    return `UPDATE ${this.#target} SET ${this.#keyNames[0] as string}=${this.#keyNames[0] as string} WHERE ${this.#keyList} IN (${keys})`;
  }

  delete(keys: string): string {
    return `${this.#deleteHead}${this.#keyList} IN (${keys})`;
  }

  deleteOne(row: Row): string {
    return this.#deleteHead + this.#isRow(row);
  }

  updateOne(row: Row): string {
    let sets = '';
    for (let i = 0; i < this.#setNames.length; i++) {
      if (i > 0) sets += ',';
      sets += `${this.#setNames[i] as string}=${literal(this.#codecs[this.#keyCount + i] as ColumnCodec, row[this.#keyCount + i] as Value)}`;
    }
    if (sets === '') sets = `${this.#keyNames[0] as string}=${this.#keyNames[0] as string}`;
    return `UPDATE ${this.#target} SET ${sets} WHERE ${this.#isRow(row)}`;
  }

  /** One UPDATE of several rows with distinct keys; the server looks for a row's values through all of them. */
  updateMany(rows: readonly Row[]): string {
    const conditions = rows.map((row) => `WHEN ${this.#keyCount === 1 ? this.keyTuple(row) : this.#isRow(row)} THEN `);
    const head = this.#keyCount === 1 ? `CASE ${this.#keyList} ` : 'CASE ';
    let sets = '';
    for (let i = 0; i < this.#setNames.length; i++) {
      const place = this.#keyCount + i;
      const codec = this.#codecs[place] as ColumnCodec;
      sets += `${i > 0 ? ',' : ''}${this.#setNames[i] as string}=${head}`;
      for (let r = 0; r < rows.length; r++) sets += `${conditions[r] as string}${literal(codec, (rows[r] as Row)[place] as Value)} `;
      sets += 'END';
    }
    if (sets === '') sets = `${this.#keyNames[0] as string}=${this.#keyNames[0] as string}`;
    return `UPDATE ${this.#target} SET ${sets} WHERE ${this.#keyList} IN (${rows.map((row) => this.keyTuple(row)).join(',')})`;
  }
}

function literal(codec: ColumnCodec, value: Value): string {
  return value === null ? 'NULL' : codec.literal(value);
}

/**
 * In a list of several columns' values MariaDB compares text of another charset byte by byte, and finds nothing; so there
 * it is converted to the column's.
 */
function conversionOf({ charset, collation }: ColumnDefinition): readonly [string, string] {
  if (charset === undefined || collation === undefined || charset === 'utf8mb4' || charset === 'binary') return ['', ''];
  assert(/^\w+$/.test(charset) && /^\w+$/.test(collation), 'names of charsets and collations are words');
  return ['CONVERT(', ` USING ${charset}) COLLATE ${collation}`];
}

function planOf(shape: MysqlShape): Plan {
  const { uniqueIndexes, checks, triggers, referencedColumns, columns } = shape.table.definition;
  const others = uniqueIndexes.filter((index) => index !== shape.keyIndex);
  const sensitive = new Set([...others.flatMap((index) => index.columns), ...referencedColumns]);
  const complete = columns.every((column) => column.generated || shape.columns.includes(column.name));
  return {
    viaInsert: shape.suffices && !triggers && (!checks || complete) && (shape.keyIndex.name === 'PRIMARY' || others.length === 0),
    soleUnique: others.length === 0,
    // An index on an expression, or on a column that is computed from others, may depend on any column.
    groupsUpdates:
      !triggers &&
      !shape.columns.slice(shape.keyCount).some((name) => sensitive.has(name)) &&
      !others.some((index) => obscure(index.columns, columns)),
    countable: !triggers,
    groupsDeletes: !triggers && referencedColumns.length === 0,
  };
}

function obscure(indexColumns: readonly string[], columns: MysqlShape['table']['definition']['columns']): boolean {
  return indexColumns.length === 0 || indexColumns.some((name) => columns.find((column) => column.name === name)?.generated !== false);
}
