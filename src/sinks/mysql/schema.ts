import { Mentions } from '../mentions.ts';
import type { ColumnDefinition } from './columns.ts';
import type { Connection, SqlRow } from './connection.ts';
import { OWN_PREFIX, textLiteral } from './sql.ts';
import { readTriggers, type Triggers } from './triggers.ts';

/** A table as `information_schema` describes it. */
export interface TableDefinition {
  readonly name: string;
  readonly engine: string;
  readonly columns: readonly ColumnDefinition[];
  readonly uniqueIndexes: readonly UniqueIndex[];
  /** Columns of the table's own foreign keys. */
  readonly foreignColumns: readonly string[];
  /** Columns that foreign keys of other tables, or of its own, point at. */
  readonly referencedColumns: readonly string[];
  /** Whether it has CHECK constraints, other than the one that MariaDB gives to JSON columns. */
  readonly checks: boolean;
  /** Whether it has triggers. */
  readonly triggers: boolean;
  /** Whether a trigger may touch it, its own or that of another table. */
  readonly touched: boolean;
  /**
   * Whether the database computes columns or indexes of it from other columns or from the order of changes: generated
   * columns, defaults that read columns or a sequence, AUTO_INCREMENT outside the primary key. Not so those that take the
   * time of the change.
   */
  readonly computes: boolean;
  /** Whether it may lack a partition for a row. */
  readonly partitioned: boolean;
  /** Whether it keeps what its rows were before. */
  readonly versioned: boolean;
}

export interface UniqueIndex {
  /** `PRIMARY` for the primary key. */
  readonly name: string;
  readonly columns: readonly string[];
  /** Whether its columns identify a row: whole columns, none of them nullable. */
  readonly identifies: boolean;
}

/** Foreign keys of other databases that point at our tables: read with the whole schema only, for it takes long. */
export type ForeignReferences = ReadonlyMap<string, ReadonlySet<string>>;

/** Up to this many tables are read one by one, beyond it the whole database: the server opens every table for a list. */
const MAX_SINGLE_READS = 8;
/**
 * No table has a longer name, nor one with other characters, so such a one is not looked for. The server would answer a
 * comparison with characters beyond 16 bits with an error.
 */
const MAX_NAME_CHARACTERS = 64;
const NAME_CHARACTERS = /^[^\0\ud800-\udfff]+$/;

/**
 * Reads the definitions of the named tables, or of all. Names that are no tables are left out; views and Syncline's own
 * tables are no tables.
 */
export async function readSchema(
  connection: Connection,
  database: string,
  names: readonly string[] | undefined,
  references: ForeignReferences,
): Promise<TableDefinition[]> {
  const possible = names?.filter((name) => name.length <= MAX_NAME_CHARACTERS && NAME_CHARACTERS.test(name));
  if (possible?.length === 0) return [];
  // Of all tables, because any of them may point at the named ones.
  const foreignKeys = await connection.rows(
    'SELECT TABLE_NAME,COLUMN_NAME,REFERENCED_TABLE_SCHEMA,REFERENCED_TABLE_NAME,REFERENCED_COLUMN_NAME FROM information_schema.KEY_COLUMN_USAGE ' +
      `WHERE TABLE_SCHEMA=${textLiteral(database)} AND REFERENCED_TABLE_NAME IS NOT NULL`,
  );
  // Of all tables for the same reason.
  const triggers = await readTriggers(connection, database);
  const context = { connection, database, foreignKeys, references, triggers };
  if (possible === undefined || possible.length > MAX_SINGLE_READS) {
    const all = await readTables(context, undefined);
    return possible === undefined ? all : all.filter((table) => possible.includes(table.name));
  }
  const tables: TableDefinition[] = [];
  for (const name of possible) tables.push(...(await readTables(context, name)));
  return tables;
}

interface ReadContext {
  readonly connection: Connection;
  readonly database: string;
  readonly foreignKeys: readonly SqlRow[];
  readonly references: ForeignReferences;
  readonly triggers: Triggers;
}

async function readTables(
  { connection, database, foreignKeys, references, triggers }: ReadContext,
  only: string | undefined,
): Promise<TableDefinition[]> {
  const inDatabase = (schemaColumn: string, tableColumn: string) =>
    `${schemaColumn}=${textLiteral(database)}${only === undefined ? '' : ` AND ${tableColumn}=${textLiteral(only)}`}`;
  const tables = await connection.rows(
    `SELECT TABLE_NAME,ENGINE,TABLE_TYPE,CREATE_OPTIONS FROM information_schema.TABLES WHERE ${inDatabase('TABLE_SCHEMA', 'TABLE_NAME')} AND TABLE_TYPE IN ('BASE TABLE','SYSTEM VERSIONED')`,
  );
  const columns = byTable(
    await connection.rows(
      'SELECT TABLE_NAME,COLUMN_NAME,DATA_TYPE,COLUMN_TYPE,IS_NULLABLE,COLUMN_DEFAULT IS NOT NULL,EXTRA,GENERATION_EXPRESSION,' +
        'CHARACTER_MAXIMUM_LENGTH,CHARACTER_OCTET_LENGTH,NUMERIC_PRECISION,NUMERIC_SCALE,DATETIME_PRECISION,CHARACTER_SET_NAME,COLLATION_NAME,COLUMN_DEFAULT ' +
        `FROM information_schema.COLUMNS WHERE ${inDatabase('TABLE_SCHEMA', 'TABLE_NAME')} ORDER BY TABLE_NAME,ORDINAL_POSITION`,
    ),
  );
  const indexes = byTable(
    await connection.rows(
      'SELECT TABLE_NAME,INDEX_NAME,COLUMN_NAME,SUB_PART,NULLABLE,NON_UNIQUE FROM information_schema.STATISTICS ' +
        `WHERE ${inDatabase('TABLE_SCHEMA', 'TABLE_NAME')} AND (NON_UNIQUE=0 OR COLUMN_NAME IS NULL) ORDER BY TABLE_NAME,INDEX_NAME,SEQ_IN_INDEX`,
    ),
  );
  const checks = byTable(await connection.rows(checksQuery(connection.facts.mariadb, inDatabase)));
  return tables
    .map(([name, engine, type, options]) => ({
      name: String(name),
      engine: String(engine),
      versioned: type === 'SYSTEM VERSIONED',
      partitioned: /\bpartitioned\b/i.test(String(options)),
    }))
    .filter(({ name }) => !isOwn(name) && (only === undefined || name === only))
    .map(({ name, engine, versioned, partitioned }) => {
      const columnRows = columns.get(name) ?? [];
      const indexRows = indexes.get(name) ?? [];
      const uniqueIndexes = indexesOf(indexRows.filter((row) => Number(row[5]) === 0));
      const checkClauses = (checks.get(name) ?? []).map((row) => String(row[1]));
      const out = foreignKeys.filter((row) => row[0] === name);
      const into = foreignKeys.filter((row) => row[2] === database && row[3] === name);
      return {
        name,
        engine,
        columns: columnRows.map((row) => columnOf(row, checkClauses)),
        uniqueIndexes,
        foreignColumns: out.map((row) => String(row[1])),
        referencedColumns: [...into.map((row) => String(row[4])), ...(references.get(name) ?? [])],
        checks: checkClauses.some((clause) => !JSON_CHECK.test(clause)),
        triggers: triggers.tables.has(name),
        touched: triggers.tables.has(name) || triggers.mayTouch(name),
        // MySQL can index an expression, which has no column.
        computes: indexRows.some((row) => row[2] === null) || computes(columnRows, uniqueIndexes, connection.facts.mariadb),
        partitioned,
        versioned,
      };
    });
}

/** The columns of our tables, by table, that foreign keys in other databases point at. */
export async function readForeignReferences(connection: Connection, database: string): Promise<ForeignReferences> {
  const rows = await connection.rows(
    'SELECT REFERENCED_TABLE_NAME,REFERENCED_COLUMN_NAME FROM information_schema.KEY_COLUMN_USAGE ' +
      `WHERE REFERENCED_TABLE_SCHEMA=${textLiteral(database)} AND TABLE_SCHEMA<>${textLiteral(database)}`,
  );
  const references = new Map<string, Set<string>>();
  for (const [table, column] of rows) {
    const name = String(table);
    references.set(name, (references.get(name) ?? new Set()).add(String(column)));
  }
  return references;
}

export function isOwn(table: string): boolean {
  return table.toLowerCase().startsWith(OWN_PREFIX);
}

/** What makes a LONGTEXT a JSON column on MariaDB. */
const JSON_CHECK = /^json_valid\(`((?:[^`]|``)+)`\)$/i;

function checksQuery(mariadb: boolean, inDatabase: (schemaColumn: string, tableColumn: string) => string): string {
  if (mariadb)
    return `SELECT TABLE_NAME,CHECK_CLAUSE FROM information_schema.CHECK_CONSTRAINTS WHERE ${inDatabase('CONSTRAINT_SCHEMA', 'TABLE_NAME')}`;
  return (
    'SELECT t.TABLE_NAME,c.CHECK_CLAUSE FROM information_schema.TABLE_CONSTRAINTS t JOIN information_schema.CHECK_CONSTRAINTS c ' +
    'ON c.CONSTRAINT_SCHEMA=t.CONSTRAINT_SCHEMA AND c.CONSTRAINT_NAME=t.CONSTRAINT_NAME ' +
    `WHERE ${inDatabase('t.TABLE_SCHEMA', 't.TABLE_NAME')} AND t.CONSTRAINT_TYPE='CHECK' AND t.ENFORCED='YES'`
  );
}

function columnOf(row: SqlRow, checkClauses: readonly string[]): ColumnDefinition {
  const name = String(row[1]);
  const dataType = String(row[2]).toLowerCase();
  const extra = String(row[6] ?? '').toLowerCase();
  const nullable = row[4] === 'YES';
  const generated = isGenerated(row);
  const json = dataType === 'longtext' && checkClauses.some((clause) => JSON_CHECK.exec(clause)?.[1]?.replaceAll('``', '`') === name);
  return {
    name,
    type: json ? 'json' : dataType,
    declared:
      String(row[3]).toLowerCase().startsWith('enum') || String(row[3]).toLowerCase().startsWith('set')
        ? String(row[3])
        : String(row[3]).toLowerCase(),
    nullable,
    // An ENUM that must have a value and has no default takes its first member.
    optional: nullable || Number(row[5]) === 1 || generated || extra.includes('auto_increment') || dataType === 'enum',
    generated,
    maxCharacters: numberOf(row[8]),
    maxBytes: numberOf(row[9]),
    precision: numberOf(row[10]),
    scale: numberOf(row[11]),
    fractionDigits: numberOf(row[12]) ?? 0,
    charset: textOf(row[13]),
    collation: textOf(row[14]),
  };
}

function isGenerated(row: SqlRow): boolean {
  return (row[7] !== null && row[7] !== '') || /\b(?:virtual|stored|persistent) generated\b/i.test(String(row[6] ?? ''));
}

function computes(rows: readonly SqlRow[], uniqueIndexes: readonly UniqueIndex[], mariadb: boolean): boolean {
  const key = uniqueIndexes.find((index) => index.name === 'PRIMARY')?.columns ?? [];
  const names = rows.map((row) => String(row[1]));
  return rows.some((row) => {
    const extra = String(row[6] ?? '').toLowerCase();
    if (isGenerated(row) || (extra.includes('auto_increment') && !key.includes(String(row[1])))) return true;
    const expression = defaultExpression(textOf(row[15]), extra, mariadb);
    if (expression === undefined) return false;
    const mentions = new Mentions(expression);
    return ['nextval', ...names].some((name) => mentions.has(name));
  });
}

/** The expression that a column defaults to, as far as it is not a mere value. */
function defaultExpression(text: string | undefined, extra: string, mariadb: boolean): string | undefined {
  const isExpression = mariadb ? text !== undefined && !/^[bx]?'(?:[^'\\]|''|\\.)*'$/is.test(text) : extra.includes('default_generated');
  return isExpression ? text : undefined;
}

function indexesOf(rows: readonly SqlRow[]): UniqueIndex[] {
  const indexes = new Map<string, { columns: string[]; identifies: boolean }>();
  for (const [, name, column, prefix, nullable] of rows) {
    const index = indexes.get(String(name)) ?? { columns: [], identifies: true };
    indexes.set(String(name), index);
    // MySQL can index an expression, which has no column.
    if (column !== null) index.columns.push(String(column));
    if (column === null || prefix !== null || nullable === 'YES') index.identifies = false;
  }
  return [...indexes].map(([name, index]) => ({ name, ...index }));
}

function byTable(rows: readonly SqlRow[]): Map<string, SqlRow[]> {
  const tables = new Map<string, SqlRow[]>();
  for (const row of rows) {
    const name = String(row[0]);
    const list = tables.get(name);
    if (list === undefined) tables.set(name, [row]);
    else list.push(row);
  }
  return tables;
}

function numberOf(value: SqlRow[number] | undefined): number | undefined {
  return value === null || value === undefined ? undefined : Number(value);
}

function textOf(value: SqlRow[number] | undefined): string | undefined {
  return value === null || value === undefined ? undefined : String(value);
}
