import { BIGINT } from './compiled.ts';
import type { VirtualTable } from './statement-context.ts';
import type { Table } from './table.ts';
import { collationOf, type Row, type SqlValue, type ValueType } from './values.ts';

/** The tables of `information_schema`, as far as the sink reads them. */
export function catalogueTable(name: string, database: string, tables: readonly Table[]): VirtualTable {
  const columns = COLUMNS[name.toUpperCase()];
  if (columns === undefined) throw new Error(`information_schema.${name} is not simulated`);
  return {
    columns: columns.map((column) => ({ name: column, type: typeOf(column) })),
    rows: rowsOf(name.toUpperCase(), database, tables),
  };
}

const COLUMNS: Readonly<Record<string, readonly string[]>> = {
  ENGINES: ['ENGINE', 'SUPPORT'],
  SCHEMATA: ['SCHEMA_NAME'],
  TABLES: ['TABLE_SCHEMA', 'TABLE_NAME', 'TABLE_TYPE', 'ENGINE', 'CREATE_OPTIONS'],
  COLUMNS: [
    'TABLE_SCHEMA',
    'TABLE_NAME',
    'COLUMN_NAME',
    'ORDINAL_POSITION',
    'DATA_TYPE',
    'COLUMN_TYPE',
    'IS_NULLABLE',
    'COLUMN_DEFAULT',
    'EXTRA',
    'GENERATION_EXPRESSION',
    'CHARACTER_MAXIMUM_LENGTH',
    'CHARACTER_OCTET_LENGTH',
    'NUMERIC_PRECISION',
    'NUMERIC_SCALE',
    'DATETIME_PRECISION',
    'CHARACTER_SET_NAME',
    'COLLATION_NAME',
  ],
  STATISTICS: ['TABLE_SCHEMA', 'TABLE_NAME', 'NON_UNIQUE', 'INDEX_NAME', 'SEQ_IN_INDEX', 'COLUMN_NAME', 'SUB_PART', 'NULLABLE'],
  CHECK_CONSTRAINTS: ['CONSTRAINT_SCHEMA', 'TABLE_NAME', 'CHECK_CLAUSE'],
  KEY_COLUMN_USAGE: [
    'TABLE_SCHEMA',
    'TABLE_NAME',
    'COLUMN_NAME',
    'REFERENCED_TABLE_SCHEMA',
    'REFERENCED_TABLE_NAME',
    'REFERENCED_COLUMN_NAME',
  ],
  TRIGGERS: ['EVENT_OBJECT_SCHEMA', 'EVENT_OBJECT_TABLE', 'ACTION_STATEMENT'],
  VIEWS: ['TABLE_SCHEMA', 'TABLE_NAME', 'VIEW_DEFINITION'],
};

const NUMBERS = ['ORDINAL_POSITION', 'NON_UNIQUE', 'SEQ_IN_INDEX', 'SUB_PART', 'NUMERIC_PRECISION', 'NUMERIC_SCALE', 'DATETIME_PRECISION'];

const NAME: ValueType = { kind: 'text', collation: collationOf('utf8mb4_general_ci') };

function typeOf(column: string): ValueType {
  return NUMBERS.includes(column) || column.endsWith('_LENGTH') ? BIGINT : NAME;
}

function rowsOf(name: string, database: string, tables: readonly Table[]): Row[] {
  switch (name) {
    case 'ENGINES':
      return [['InnoDB', 'DEFAULT']];
    case 'SCHEMATA':
      return [['information_schema'], [database]];
    case 'TABLES':
      return tables.map((table) => [database, table.name, 'BASE TABLE', 'InnoDB', '']);
    case 'COLUMNS':
      return tables.flatMap((table) => columnRows(table, database));
    case 'STATISTICS':
      return tables.flatMap((table) => indexRows(table, database));
    case 'CHECK_CONSTRAINTS':
      return tables.flatMap((table) => table.checks.map(({ text }) => [database, table.name, text]));
    case 'KEY_COLUMN_USAGE':
      return tables.flatMap((table) => referenceRows(table, database));
    default:
      // There are no triggers and no views.
      return [];
  }
}

function columnRows(table: Table, database: string): Row[] {
  return table.columns.map(({ name, type, notNull, default: value, autoIncrement }, i) => [
    database,
    table.name,
    name,
    i + 1,
    type.name,
    type.declared,
    notNull ? 'NO' : 'YES',
    defaultText(value, notNull),
    autoIncrement ? 'auto_increment' : '',
    null,
    type.maxCharacters,
    type.maxBytes,
    type.precision,
    type.scale,
    type.fractionDigits,
    type.collation === undefined ? null : 'utf8mb4',
    type.collation?.name ?? null,
  ]);
}

/** A default as an expression: text in quotes, NULL as a word where null is what there is. */
function defaultText(value: SqlValue | undefined, notNull: boolean): string | null {
  if (value === undefined || value === null) return notNull ? null : 'NULL';
  return typeof value === 'number' || typeof value === 'bigint' ? String(value) : `'${String(value).replaceAll("'", "\\'")}'`;
}

function indexRows(table: Table, database: string): Row[] {
  return [...(table.hasPrimaryKey ? [table.primary] : []), ...table.secondary].flatMap((index) =>
    index.positions.map((position, i) => {
      const column = table.columns[position];
      return [
        database,
        table.name,
        index.isUnique ? 0 : 1,
        index.name,
        i + 1,
        column?.name ?? null,
        null,
        column?.notNull === true ? '' : 'YES',
      ];
    }),
  );
}

function referenceRows(table: Table, database: string): Row[] {
  const keys = [table.primary, ...table.secondary.filter((index) => index.isUnique)];
  return [
    ...keys.flatMap(({ columns }) => columns.map((column) => [database, table.name, column, null, null, null])),
    ...table.foreignKeys.flatMap(({ childIndex, parent, parentIndex }) =>
      childIndex.columns.map((column, i) => [database, table.name, column, database, parent.name, parentIndex.columns[i] ?? null]),
    ),
  ];
}
