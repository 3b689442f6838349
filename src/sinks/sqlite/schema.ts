import type { DatabaseSync } from 'node:sqlite';
import type { ChangeFault } from '../../core/errors.ts';
import { mentionsOf } from '../mentions.ts';
import { Column } from './column.ts';
import { SqliteTable, type TableInfo } from './table.ts';

/** The schema of a database at one `schema_version`. */
export interface Schema {
  readonly version: number;
  readonly tables: ReadonlyMap<string, SqliteTable>;
}

/** Names of the sink's own tables begin so; no change reaches them. */
export const OWN_PREFIX = 'syncline_';

export function schemaVersion(db: DatabaseSync): number {
  return (db.prepare('PRAGMA schema_version').get() as { schema_version: number }).schema_version;
}

/**
 * Reads every ordinary table. Views, virtual tables, SQLite's and Syncline's own are left out. A table that did not
 * change since `before` keeps its object, and with it its shapes.
 */
export function readSchema(db: DatabaseSync, before: Schema | undefined): Schema {
  // One read transaction, so that the pragmas agree with each other; inside a transaction they do already.
  const alone = !db.isTransaction;
  if (alone) db.exec('BEGIN');
  try {
    const version = schemaVersion(db);
    if (before?.version === version) return before;
    const tables = new Map<string, SqliteTable>();
    for (const info of readTables(db)) {
      const known = before?.tables.get(info.name);
      tables.set(info.name, known?.info.signature === info.signature ? known : new SqliteTable(info));
    }
    return { version, tables };
  } finally {
    if (alone && db.isTransaction) db.exec('COMMIT');
  }
}

interface TableRow {
  readonly name: string;
  readonly strict: number;
  readonly wr: number;
  readonly sql: string;
}

interface ColumnRow {
  readonly name: string;
  readonly type: string;
  readonly notnull: number;
  readonly dflt_value: string | null;
  readonly pk: number;
  readonly hidden: number;
}

interface IndexRow {
  readonly name: string;
  readonly origin: 'c' | 'u' | 'pk';
  readonly partial: number;
}

interface ForeignKeyRow {
  readonly child: string;
  readonly parent: string;
}

interface TriggerRow {
  readonly name: string;
  readonly tbl: string;
  readonly sql: string;
}

const DEFERRED = /\bDEFERRABLE\s+INITIALLY\s+DEFERRED\b/i;
const CHECK = /\bCHECK\s*\(/i;
const ROLLBACK = /\bRAISE\s*\(\s*ROLLBACK\b/i;
const GENERATED_HIDDEN = [2, 3];

function readTables(db: DatabaseSync): TableInfo[] {
  const rows = db
    .prepare(
      "SELECT l.name, l.strict, l.wr, s.sql FROM pragma_table_list l JOIN main.sqlite_schema s ON s.type = 'table' AND s.name = l.name WHERE l.schema = 'main' AND l.type = 'table' ORDER BY l.name",
    )
    .all() as unknown as TableRow[];
  const names = rows.filter((row) => !isReserved(row.name));
  const foreignKeys = rows.flatMap((row) => foreignKeysOf(db, row.name));
  const triggers = db
    .prepare("SELECT name, tbl_name AS tbl, sql FROM main.sqlite_schema WHERE type = 'trigger'")
    .all() as unknown as TriggerRow[];
  const relays = db
    .prepare("SELECT name, sql FROM main.sqlite_schema WHERE type = 'view' OR type = 'table' AND sql LIKE 'CREATE VIRTUAL%'")
    .all() as unknown as { name: string; sql: string }[];
  // No function that an SQL statement calls here reads or writes a table.
  const touched = mentionsOf(
    triggers.map((trigger) => trigger.sql),
    relays.map(({ name, sql }) => [name, sql]),
  );
  const deferred = new Set(rows.filter((row) => DEFERRED.test(row.sql)).map((row) => row.name));
  return names.map((row) => {
    const own = triggers.filter((trigger) => same(trigger.tbl, row.name));
    const related = foreignKeys.filter((foreignKey) => same(foreignKey.child, row.name) || same(foreignKey.parent, row.name));
    return tableInfo(db, row, own, related, deferred, touched.has(row.name));
  });
}

export function isReserved(name: string): boolean {
  const lower = name.toLowerCase();
  return lower.startsWith(OWN_PREFIX) || lower.startsWith('sqlite_');
}

function foreignKeysOf(db: DatabaseSync, table: string): ForeignKeyRow[] {
  return db
    .prepare('SELECT DISTINCT ? AS child, "table" AS parent FROM pragma_foreign_key_list(?)')
    .all(table, table) as unknown as ForeignKeyRow[];
}

function tableInfo(
  db: DatabaseSync,
  row: TableRow,
  triggers: readonly TriggerRow[],
  foreignKeys: readonly ForeignKeyRow[],
  deferred: ReadonlySet<string>,
  touched: boolean,
): TableInfo {
  const columnRows = db
    .prepare('SELECT name, type, "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(?)')
    .all(row.name) as unknown as ColumnRow[];
  const indexes = db
    .prepare('SELECT name, origin, partial FROM pragma_index_list(?) WHERE "unique"')
    .all(row.name) as unknown as IndexRow[];
  const keyIndex = indexes.find((index) => index.origin === 'pk');
  const collations = keyIndex === undefined ? new Map<string, string>() : indexCollations(db, keyIndex.name);
  const keyRows = columnRows.filter((column) => column.pk > 0).sort((a, b) => a.pk - b.pk);
  // The one column of a primary key that has no index of its own is the rowid.
  const rowid = keyRows.length === 1 && keyIndex === undefined && row.wr === 0 ? keyRows[0]?.name : undefined;
  const columns = columnRows.map(
    (column) =>
      new Column({
        name: column.name,
        type: rowid === column.name ? 'INTEGER' : column.type,
        // The rowid takes integers only, as if the table were STRICT.
        strict: row.strict === 1 || rowid === column.name,
        notNull: column.notnull === 1,
        filled: column.dflt_value !== null || rowid === column.name,
        generated: GENERATED_HIDDEN.includes(column.hidden),
        keyCollation: collations.get(column.name) ?? '',
      }),
  );
  // The expression of an index, or its condition, can fail for a row that its columns would take.
  const evaluated = hasIndexExpression(db, row.name);
  const others = indexes.filter((index) => index !== keyIndex);
  const children = foreignKeys.map((foreignKey) => foreignKey.child).filter((child) => deferred.has(child));
  return {
    name: row.name,
    columns,
    key: keyRows.map((column) => column.name),
    uniqueKeys: others.flatMap((index) => uniqueKey(db, index, columnRows)),
    independent:
      others.length === 0 &&
      foreignKeys.length === 0 &&
      triggers.length === 0 &&
      !touched &&
      !columns.some((column) => column.generated) &&
      !evaluated &&
      !CHECK.test(row.sql),
    deferredChildren: [...new Set(children)],
    unsuitable: unsuitable(row.name, columns, collations, triggers),
    signature: JSON.stringify([row, columnRows, indexes, [...collations], foreignKeys, triggers, children, touched, evaluated]),
  };
}

function hasIndexExpression(db: DatabaseSync, table: string): boolean {
  const found = db
    .prepare('SELECT 1 FROM pragma_index_list(?) l, pragma_index_xinfo(l.name) x WHERE l.partial OR x.cid = -2 LIMIT 1')
    .get(table);
  return found !== undefined;
}

function indexCollations(db: DatabaseSync, index: string): Map<string, string> {
  const rows = db.prepare('SELECT name, upper(coll) AS coll FROM pragma_index_xinfo(?) WHERE key = 1').all(index) as unknown as {
    name: string | null;
    coll: string;
  }[];
  return new Map(rows.flatMap((row) => (row.name === null ? [] : [[row.name, row.coll]])));
}

/** The columns of a unique index that may serve as a key: no expression, no condition, no null, compared byte by byte. */
function uniqueKey(db: DatabaseSync, index: IndexRow, columns: readonly ColumnRow[]): string[][] {
  if (index.partial === 1) return [];
  const collations = indexCollations(db, index.name);
  const names = [...collations.keys()];
  const { count } = db.prepare('SELECT count(*) AS count FROM pragma_index_xinfo(?) WHERE key = 1').get(index.name) as { count: number };
  const usable =
    names.length === count &&
    names.every((name) => collations.get(name) === 'BINARY' && columns.some((column) => column.name === name && column.notnull === 1));
  return usable ? [names] : [];
}

function unsuitable(
  table: string,
  columns: readonly Column[],
  collations: ReadonlyMap<string, string>,
  triggers: readonly TriggerRow[],
): ChangeFault | undefined {
  for (const [name, collation] of collations) {
    if (KNOWN_COLLATIONS.includes(collation)) continue;
    return {
      code: 'key_not_canonical',
      message: `table ${table}: key column ${name} has the collation ${collation}, which only its application knows`,
    };
  }
  const drastic = triggers.find((trigger) => ROLLBACK.test(trigger.sql));
  if (drastic !== undefined) {
    return {
      code: 'value_refused',
      message: `table ${table}: trigger ${drastic.name} rolls back the whole transaction: use RAISE(ABORT, …)`,
    };
  }
  const generated = columns.find((column) => column.generated && column.info.keyCollation !== '');
  return generated === undefined
    ? undefined
    : { code: 'column_generated', message: `table ${table}: key column ${generated.name} is computed by the database` };
}

const KNOWN_COLLATIONS = ['BINARY', 'NOCASE', 'RTRIM'];

/** SQLite compares names without regard to the case of ASCII letters. */
function same(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}
