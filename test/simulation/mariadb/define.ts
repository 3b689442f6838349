import { compile } from './expression.ts';
import type { LockOwner } from './locks.ts';
import type { CheckClause, ColumnClause, CreateTable, ForeignKeyClause } from './sql/ast.ts';
import { Index, Table, type Check, type Column } from './table.ts';
import { columnTypeOf, stored } from './types.ts';

const DEFAULT_COLLATION = 'utf8mb4_general_ci';

/** What a table is made within. */
export interface Surroundings {
  /** Tables that foreign keys may point at. */
  table(name: string): Table | undefined;
  readonly onMoved: (owner: LockOwner) => void;
}

/** Makes the table of a CREATE TABLE, with its part of the foreign keys. */
export function defineTable(statement: CreateTable, surroundings: Surroundings): Table {
  const { primaryKey } = statement;
  const collation = statement.collation ?? DEFAULT_COLLATION;
  const columns = statement.columns.map((clause) =>
    columnOf(primaryKey.includes(clause.name) ? { ...clause, notNull: true } : clause, collation),
  );
  const positionsOf = (names: readonly string[]) => names.map((name) => columns.findIndex((column) => column.name === name));
  const primary = new Index('PRIMARY', true, positionsOf(primaryKey), columns, undefined, surroundings.onMoved);
  const indexOn = (name: string, isUnique: boolean, names: readonly string[]) =>
    new Index(name, isUnique, positionsOf(names), columns, primary, surroundings.onMoved);
  const secondary: Index[] = [];
  for (const { name, unique, columns: names } of statement.indexes) {
    // Others only make reads faster, unless a foreign key needs them.
    if (unique) secondary.push(indexOn(name ?? freeName(names[0] as string, secondary), true, names));
  }
  const checks = statement.checks.map((clause, i) => checkOf(clause, i, columns));
  for (const { name, type } of statement.columns) if (type === 'json') checks.push(jsonCheck(name, columns));
  const supports = statement.foreignKeys.map((clause, i) => {
    const found = [primary, ...secondary].find((index) => sameNames(index.columns, clause.columns));
    const index = found ?? indexOn(nameOf(clause, statement.table, i), false, clause.columns);
    if (found === undefined) secondary.push(index);
    return { clause, index, name: nameOf(clause, statement.table, i) };
  });
  const table = new Table(statement.table, columns, { primary, secondary }, checks, surroundings.onMoved);
  for (const { clause, index, name } of supports) {
    const parent = clause.parent === table.name ? table : surroundings.table(clause.parent);
    const parentIndex = [parent?.primary, ...(parent?.secondary ?? [])].find(
      (each) => each?.isUnique === true && sameNames(each.columns, clause.parentColumns),
    );
    if (parent === undefined || parentIndex === undefined) throw new Error(`foreign key ${name} points at no unique index`);
    const foreignKey = { name, child: table, childIndex: index, parent, parentIndex, onDelete: clause.onDelete };
    table.foreignKeys.push(foreignKey);
    parent.referencedBy.push(foreignKey);
  }
  return table;
}

export function columnOf(clause: ColumnClause, collation: string = DEFAULT_COLLATION): Column {
  const { name, notNull, autoIncrement } = clause;
  const type = columnTypeOf(clause, collation);
  const value = clause.default;
  return { name, type, notNull, autoIncrement, default: value === undefined || value === null ? value : stored(value, type, name, name) };
}

function checkOf({ name, condition, text, column }: CheckClause, i: number, columns: readonly Column[]): Check {
  const compiled = compile(condition, {
    clause: 'CHECK',
    column(_, wanted) {
      const position = columns.findIndex((each) => each.name.toLowerCase() === wanted.toLowerCase());
      const found = columns[position];
      return found === undefined ? undefined : { source: 0, position, type: found.type };
    },
    variable(variable) {
      throw new Error(`a CHECK reads the variable ${variable}`);
    },
  });
  return { name: name ?? column ?? `CONSTRAINT_${i + 1}`, text, condition: compiled };
}

function jsonCheck(column: string, columns: readonly Column[]): Check {
  const condition = { kind: 'call', name: 'JSON_VALID', args: [{ kind: 'column', table: undefined, name: column }] } as const;
  return checkOf({ name: column, condition, text: `json_valid(\`${column}\`)`, column }, 0, columns);
}

function nameOf({ name }: ForeignKeyClause, table: string, i: number): string {
  return name ?? `${table}_ibfk_${i + 1}`;
}

function freeName(column: string, taken: readonly Index[]): string {
  let name = column;
  for (let i = 2; taken.some((index) => index.name === name); i++) name = `${column}_${i}`;
  return name;
}

function sameNames(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((name, i) => name === b[i]);
}
