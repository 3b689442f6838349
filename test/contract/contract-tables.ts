import type { ContractTable } from './sink.contract.ts';

/** The types of the suite's columns in MySQL and MariaDB. */
export const MYSQL_TYPES = { int: 'BIGINT', text: 'VARCHAR(100) COLLATE utf8mb4_bin', bytes: 'VARBINARY(100)' };

/** A table of the suite as SQL, with the types of a database; `suffix` comes last. */
export function createTable(table: ContractTable, types: Readonly<Record<'int' | 'text' | 'bytes', string>>, suffix: string): string {
  const columns = Object.entries(table.columns).map(([name, column]) => {
    const notNull = column.notNull === true || table.key.includes(name) ? ' NOT NULL' : '';
    return `${name} ${types[column.type ?? 'text']}${notNull}${column.default === undefined ? '' : ` DEFAULT '${String(column.default)}'`}`;
  });
  const constraints = [
    ...(table.key.length === 0 ? [] : [`PRIMARY KEY (${table.key.join(', ')})`]),
    ...(table.unique ?? []).map((unique) => `UNIQUE (${unique.join(', ')})`),
    ...(table.references ?? []).map((reference) => `FOREIGN KEY (${reference.columns.join(', ')}) REFERENCES ${reference.table} (id)`),
    ...(table.checkSql === undefined ? [] : [`CHECK (${table.checkSql})`]),
  ];
  return `CREATE TABLE ${table.name} (${[...columns, ...constraints].join(', ')})${suffix}`;
}
