import type { DatabaseSync } from 'node:sqlite';
import { Timestamp, type Batch, type ChangeGroup, type Value } from '../../core/change.ts';
import { fitsInt64 } from './affinity.ts';
import { resultCode } from './errors.ts';
import { isReserved, type Schema } from './schema.ts';
import { quoted } from './statements.ts';

/** Limits of what producers can make the sink create; what is beyond them is unknown, and becomes dead letters. */
const MAX_TABLES = 1000;
const MAX_COLUMNS = 1000;
const NAME = /^[^\p{Cc}\p{Cs}"]{1,64}$/u;

/** Tables and columns that `batches` name and `schema` lacks, with the columns' types by their values. */
export interface Additions {
  readonly tables: ReadonlyMap<string, { readonly key: readonly string[]; readonly columns: ReadonlyMap<string, ColumnType> }>;
}

/**
 * Types that keep every value exactly as it came:
 *
 * | values | declared | why |
 * |---|---|---|
 * | integers | `INTEGER` | 64 bits; later fractions are kept as they are too |
 * | fractions | `REAL` | |
 * | both | `NUMERIC` | |
 * | integers beyond 64 bits signed | `TEXT` | all digits |
 * | booleans | `BOOLEAN` | 0 and 1 |
 * | text, decimals | `TEXT` | |
 * | bytes | `BLOB` | |
 * | timestamps | `TIMESTAMP TEXT` | TEXT affinity, and a name that says what it holds |
 * | arrays, objects | `JSON TEXT` | |
 * | null only, or a mixture | none | SQLite then keeps anything |
 */
export type ColumnType = 'INTEGER' | 'REAL' | 'NUMERIC' | 'TEXT' | 'BOOLEAN' | 'BLOB' | 'TIMESTAMP TEXT' | 'JSON TEXT' | '';

/** What is to be added; undefined when `schema` has it all. */
export function additionsFor(schema: Schema, batches: readonly Batch[]): Additions | undefined {
  const missing: ChangeGroup[] = [];
  for (const batch of batches) for (const group of batch.groups) if (lacks(schema, group)) missing.push(group);
  if (missing.length === 0) return undefined;
  const tables = new Map<string, { key: readonly string[]; columns: Map<string, ColumnType> }>();
  for (const group of missing) {
    const table = tables.get(group.table) ?? { key: group.columns.slice(0, group.keyCount), columns: new Map<string, ColumnType>() };
    tables.set(group.table, table);
    for (const [index, column] of group.columns.entries()) {
      if (schema.tables.get(group.table)?.has(column) === true) continue;
      table.columns.set(column, typeOf(group, index, table.columns.get(column)));
    }
  }
  return { tables };
}

function lacks(schema: Schema, group: ChangeGroup): boolean {
  const table = schema.tables.get(group.table);
  if (table === undefined) return NAME.test(group.table) && !isReserved(group.table);
  // A column that is not there is part of no key: the changes will be refused, and whoever may write no column of that name makes none.
  if (!group.columns.slice(0, group.keyCount).every((column) => table.has(column))) return false;
  for (const column of group.columns) if (!table.has(column) && NAME.test(column)) return true;
  return false;
}

/**
 * Creates them in the open transaction. What SQLite refuses (a name that differs in case only, a view of that name) is
 * left out: changes for it are refused one by one, with the reason.
 */
export function applyAdditions(db: DatabaseSync, schema: Schema, additions: Additions): void {
  let tableCount = schema.tables.size;
  for (const [name, { key, columns }] of additions.tables) {
    const table = schema.tables.get(name);
    const names = [...columns.keys()];
    if (table === undefined) {
      if (tableCount >= MAX_TABLES || names.length > MAX_COLUMNS || !names.every((column) => NAME.test(column))) continue;
      if (attempt(db, createTable(name, key, columns))) tableCount++;
      continue;
    }
    for (const column of names.slice(0, Math.max(0, MAX_COLUMNS - table.columns.length))) {
      if (NAME.test(column)) attempt(db, `ALTER TABLE ${quoted(name)} ADD COLUMN ${quoted(column)} ${columns.get(column) ?? ''}`);
    }
  }
}

function createTable(name: string, key: readonly string[], columns: ReadonlyMap<string, ColumnType>): string {
  const [first] = key;
  // Declared exactly so, the key is the rowid: no second tree to keep.
  const rowid = key.length === 1 && columns.get(first as string) === 'INTEGER';
  const lines = [...columns].map(([column, type]) => {
    if (!key.includes(column)) return `${quoted(column)} ${type}`;
    return rowid ? `${quoted(column)} INTEGER PRIMARY KEY` : `${quoted(column)} ${type} NOT NULL`;
  });
  if (!rowid) lines.push(`PRIMARY KEY (${key.map(quoted).join(', ')})`);
  return `CREATE TABLE ${quoted(name)} (\n  ${lines.join(',\n  ')}\n)`;
}

function attempt(db: DatabaseSync, sql: string): boolean {
  db.exec('SAVEPOINT syncline_evolve');
  try {
    db.exec(sql);
    db.exec('RELEASE syncline_evolve');
    return true;
  } catch (error) {
    if (resultCode(error) !== SQLITE_ERROR) throw error;
    db.exec('ROLLBACK TO syncline_evolve; RELEASE syncline_evolve');
    return false;
  }
}

const SQLITE_ERROR = 1;

function typeOf(group: ChangeGroup, index: number, before: ColumnType | undefined): ColumnType {
  let type = before ?? '';
  let mixed = false;
  for (const row of group.rows) {
    const value = row[index];
    if (value === undefined || value === null || mixed) continue;
    const own = typeOfValue(value);
    const joined: ColumnType | undefined =
      type === '' || type === own ? own : NUMBERS.has(type) && NUMBERS.has(own) ? 'NUMERIC' : undefined;
    mixed = joined === undefined;
    type = joined ?? '';
  }
  return type;
}

const NUMBERS: ReadonlySet<ColumnType> = new Set(['INTEGER', 'REAL', 'NUMERIC']);

function typeOfValue(value: Exclude<Value, null>): ColumnType {
  switch (typeof value) {
    case 'boolean':
      return 'BOOLEAN';
    case 'number':
      return Number.isSafeInteger(value) ? 'INTEGER' : 'REAL';
    case 'bigint':
      return fitsInt64(value) ? 'INTEGER' : 'TEXT';
    case 'string':
      return 'TEXT';
    default:
      if (value instanceof Uint8Array) return 'BLOB';
      return value instanceof Timestamp ? 'TIMESTAMP TEXT' : 'JSON TEXT';
  }
}
