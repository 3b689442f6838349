import { Timestamp, type Batch, type ChangeGroup, type Value } from '../../core/change.ts';
import { SyncError } from '../../core/errors.ts';
import type { Connection } from './connection.ts';
import { isOwn } from './schema.ts';
import { quoteName } from './sql.ts';
import type { MysqlTable } from './table.ts';

/** Names that tables and columns may be created with; whoever wants others creates them by hand. */
const CREATABLE = /^[A-Za-z_][A-Za-z0-9_]{0,63}$/;
/** Bytes of an InnoDB index, and of a utf8mb4 character in it. */
const MAX_INDEX_BYTES = 3072;
const CHARACTER_BYTES = 4;
const MAX_KEY_CHARACTERS = 191;
/** Error 1060: somebody else added the column a moment ago. */
const DUPLICATE_COLUMN = /\berror 1060\b/;
/** Too many columns, or too long a row. */
const NO_ROOM = /\berror 111[78]\b/;

/**
 * Creates the tables and adds the columns that `batches` lack; returns the tables that were touched. Types follow the
 * values; columns that exist are never changed. What the database refuses to create stays missing, and the changes that
 * need it become dead letters.
 * @throws {SyncError} transient only.
 */
export async function evolveSchema(
  connection: Connection,
  batches: readonly Batch[],
  tableOf: (name: string) => MysqlTable | undefined,
): Promise<string[]> {
  const touched: string[] = [];
  for (const [name, wanted] of wantedTables(batches, tableOf)) {
    const table = tableOf(name);
    if (table === undefined) {
      await tryDefinition(connection, createStatement(name, wanted, connection.facts.mariadb));
      touched.push(name);
      continue;
    }
    const missing = [...wanted.columns].filter(([column]) => !hasColumn(table, column) && CREATABLE.test(column));
    if (missing.length === 0) continue;
    await addMissing(
      connection,
      name,
      missing.map(([column, kind]) => `ADD COLUMN ${quoteName(column)} ${plainType(kind)} NULL`),
    );
    touched.push(name);
  }
  return touched;
}

/**
 * Adds columns with one statement, and in halves where that is refused: another node may be adding some of them, or the
 * table may have no room for all. Returns whether it may have room for more.
 */
async function addMissing(connection: Connection, table: string, additions: readonly string[]): Promise<boolean> {
  const answer = await tryDefinition(connection, `ALTER TABLE ${quoteName(table)} ${additions.join(',')}`);
  if (answer === 'done') return true;
  if (additions.length === 1) return answer !== 'full';
  const middle = additions.length >> 1;
  return (await addMissing(connection, table, additions.slice(0, middle))) && addMissing(connection, table, additions.slice(middle));
}

/** Column names are the same to the server in any case. */
function hasColumn(table: MysqlTable, name: string): boolean {
  const lower = name.toLowerCase();
  return table.columns.some((column) => column.toLowerCase() === lower);
}

interface WantedTable {
  readonly key: readonly string[];
  readonly columns: Map<string, Kind>;
}

/** What the values of a column have in common. `nothing`: only nulls so far. */
type Kind = 'nothing' | 'boolean' | 'integer' | 'unsigned' | 'wide' | 'float' | 'text' | 'bytes' | 'time' | 'json' | 'mixed';

function wantedTables(batches: readonly Batch[], tableOf: (name: string) => MysqlTable | undefined): Map<string, WantedTable> {
  const tables = new Map<string, WantedTable>();
  for (const batch of batches) {
    for (const group of batch.groups) {
      if (!CREATABLE.test(group.table) || isOwn(group.table)) continue;
      const present = tableOf(group.table);
      // A column that is not there is part of no key: the changes will be refused, and whoever may write no column of that name makes none.
      if (present !== undefined && !group.columns.slice(0, group.keyCount).every((column) => hasColumn(present, column))) continue;
      const table = tables.get(group.table) ?? { key: group.columns.slice(0, group.keyCount), columns: new Map<string, Kind>() };
      tables.set(group.table, table);
      addColumns(table.columns, group);
    }
  }
  return tables;
}

function addColumns(columns: Map<string, Kind>, group: ChangeGroup): void {
  for (const [i, column] of group.columns.entries()) {
    let kind = columns.get(column) ?? 'nothing';
    for (const row of group.rows) kind = joined(kind, kindOf(row[i] as Value));
    columns.set(column, kind);
  }
}

const MAX_SIGNED = 2n ** 63n - 1n;
const MAX_UNSIGNED = 2n ** 64n - 1n;

function kindOf(value: Value): Kind {
  if (value === null) return 'nothing';
  if (typeof value === 'boolean') return 'boolean';
  if (typeof value === 'number') return Number.isSafeInteger(value) ? 'integer' : 'float';
  if (typeof value === 'bigint') return value > MAX_UNSIGNED ? 'wide' : value > MAX_SIGNED ? 'unsigned' : 'integer';
  if (typeof value === 'string') return 'text';
  if (value instanceof Uint8Array) return 'bytes';
  return value instanceof Timestamp ? 'time' : 'json';
}

/** The narrowest kind that holds both. */
function joined(a: Kind, b: Kind): Kind {
  if (a === b || b === 'nothing') return a;
  if (a === 'nothing') return b;
  const pair = new Set<Kind>([a, b]);
  const within = (...kinds: Kind[]) => [...pair].every((kind) => kinds.includes(kind));
  if (within('boolean', 'integer')) return 'integer';
  if (within('boolean', 'integer', 'unsigned', 'wide')) return 'wide';
  if (within('integer', 'float')) return 'float';
  return 'mixed';
}

function plainType(kind: Kind): string {
  switch (kind) {
    case 'boolean':
      return 'TINYINT(1)';
    case 'integer':
      return 'BIGINT';
    case 'unsigned':
      return 'BIGINT UNSIGNED';
    case 'wide':
      return 'DECIMAL(20,0)';
    case 'float':
      return 'DOUBLE';
    case 'bytes':
      return 'LONGBLOB';
    case 'time':
      return 'DATETIME(6)';
    case 'json':
      return 'JSON';
    // A later value may be longer than the first, and columns are never changed.
    case 'text':
    case 'mixed':
    case 'nothing':
      return 'LONGTEXT';
  }
}

function keyType(kind: Kind, keyColumns: number, collation: string): string {
  const characters = Math.min(MAX_KEY_CHARACTERS, Math.floor(MAX_INDEX_BYTES / CHARACTER_BYTES / keyColumns));
  if (kind === 'bytes') return `VARBINARY(${characters})`;
  if (kind === 'text' || kind === 'mixed' || kind === 'nothing' || kind === 'json') return `VARCHAR(${characters}) COLLATE ${collation}`;
  return plainType(kind);
}

function createStatement(name: string, wanted: WantedTable, mariadb: boolean): string | undefined {
  if (wanted.key.length === 0 || !wanted.key.every((column) => CREATABLE.test(column))) return undefined;
  // Neither ignores spaces at the end, which would make two keys one.
  const collation = mariadb ? 'utf8mb4_nopad_bin' : 'utf8mb4_0900_bin';
  const definitions = wanted.key.map(
    (column) => `${quoteName(column)} ${keyType(wanted.columns.get(column) ?? 'nothing', wanted.key.length, collation)} NOT NULL`,
  );
  const seen = new Set(wanted.key.map((column) => column.toLowerCase()));
  for (const [column, kind] of wanted.columns) {
    if (seen.has(column.toLowerCase()) || !CREATABLE.test(column)) continue;
    seen.add(column.toLowerCase());
    definitions.push(`${quoteName(column)} ${plainType(kind)} NULL`);
  }
  definitions.push(`PRIMARY KEY (${wanted.key.map(quoteName).join(',')})`);
  return `CREATE TABLE IF NOT EXISTS ${quoteName(name)} (${definitions.join(',')}) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin`;
}

async function tryDefinition(connection: Connection, sql: string | undefined): Promise<'done' | 'refused' | 'full'> {
  if (sql === undefined) return 'refused';
  try {
    await connection.run(sql);
    return 'done';
  } catch (error) {
    if (!(error instanceof SyncError) || !connection.alive) throw error;
    // With the connection still alive this is about the definition, not about the server.
    if (error.code !== 'sink_unavailable' && !DUPLICATE_COLUMN.test(error.message)) throw error;
    return NO_ROOM.test(error.message) ? 'full' : 'refused';
  }
}
