import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { Column } from './column.ts';
import type { SqliteShape } from './table.ts';

/** The prepared statements of a shape. Parameters are numbered, so that all of them bind a row as it comes. */
export interface ShapeStatements {
  readonly run: StatementSync;
  /** Run when {@link run} matched no row: an upsert whose columns cannot make a new row by themselves. */
  readonly otherwise: StatementSync | undefined;
  /** Finds the row by its key, from the key's values alone. */
  readonly find: StatementSync;
}

export function prepareShape(db: DatabaseSync, shape: SqliteShape): ShapeStatements {
  const table = quoted(shape.table.name);
  const key = shape.targets.slice(0, shape.keyCount);
  const where = key.map((column, index) => `${quoted(column.name)} = ?${index + 1}${collate(shape, column)}`).join(' AND ');
  const find = db.prepare(`SELECT 1 FROM ${table} WHERE ${where}`);
  const [run, otherwise] = changeSql(shape, table, where);
  return { run: db.prepare(run), otherwise: otherwise === undefined ? undefined : db.prepare(otherwise), find };
}

/**
 * `OR ABORT` overrules conflict clauses in the table's definition: `ON CONFLICT REPLACE` there would delete other rows,
 * `IGNORE` would drop the change in silence.
 */
function changeSql(shape: SqliteShape, table: string, where: string): [string, string?] {
  const columns = shape.columns.map(quoted).join(', ');
  const values = shape.columns.map((_, index) => `?${index + 1}`).join(', ');
  const insert = `INSERT OR ABORT INTO ${table} (${columns}) VALUES (${values})`;
  const update = `UPDATE OR ABORT ${table} SET ${assignments(shape)} WHERE ${where}`;
  switch (shape.op) {
    case 'insert':
      return [insert];
    case 'update':
      return [update];
    case 'delete':
      return [`DELETE FROM ${table} WHERE ${where}`];
    case 'upsert':
      // NOT NULL is checked before uniqueness: INSERT … ON CONFLICT fails where a column is missing, row or no row.
      return shape.suffices ? [`${insert} ON CONFLICT (${conflictTarget(shape)}) ${conflictAction(shape)}`] : [update, insert];
  }
}

function assignments(shape: SqliteShape): string {
  const sets = shape.columns.map((column, index) => `${quoted(column)} = ?${index + 1}`).slice(shape.keyCount);
  const first = quoted(shape.columns[0] as string);
  return sets.length > 0 ? sets.join(', ') : `${first} = ${first}`;
}

function conflictTarget(shape: SqliteShape): string {
  const key = shape.targets.slice(0, shape.keyCount);
  return key.map((column) => quoted(column.name) + collate(shape, column)).join(', ');
}

function conflictAction(shape: SqliteShape): string {
  const sets = shape.columns.slice(shape.keyCount).map((column) => `${quoted(column)} = excluded.${quoted(column)}`);
  return sets.length > 0 ? `DO UPDATE SET ${sets.join(', ')}` : 'DO NOTHING';
}

/**
 * The collation of the index that makes the key unique, which may differ from the column's: without it, another unique
 * index of the same columns could be taken for the key. The rowid has no collation.
 */
function collate(shape: SqliteShape, column: Column): string {
  const { key } = shape.table;
  const primary = key.length === shape.keyCount && key.every((name, index) => name === shape.columns[index]);
  if (!primary) return ' COLLATE BINARY';
  return column.info.keyCollation === '' ? '' : ` COLLATE ${column.info.keyCollation}`;
}

/** An identifier in SQL. Names come from the schema; those of new tables and columns are checked before. */
export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
