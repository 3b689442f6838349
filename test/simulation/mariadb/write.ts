import { accessOf } from './access.ts';
import { isTrue, type Compiled, type Context } from './compiled.ts';
import { compile, type Scope } from './expression.ts';
import { positionIn, runQuery } from './query.ts';
import { BETWEEN_ROWS, type Duplicate, type Work } from './rows.ts';
import type { Assignment, DeleteStatement, Expression, InsertStatement, UpdateStatement } from './sql/ast.ts';
import { checkFailed, columnNotNull, duplicateEntry, noDefault, SqlError, tableFull } from './sql-error.ts';
import type { StatementContext } from './statement-context.ts';
import type { Column, Entry, Table } from './table.ts';
import { stored } from './types.ts';
import type { Row, SqlValue } from './values.ts';

/** What a statement did. */
export interface Written {
  /** As the driver counts, with FOUND_ROWS: rows that an UPDATE matched; 1 for a row inserted or found as it is, 2 for one replaced. */
  readonly affectedRows: number;
  readonly insertId: number;
}

/** Errors of a row that IGNORE makes a warning of. */
const FORGIVEN = [1048, 1264, 1265, 1292, 1364, 1366, 1406, 1452, 4025];

export function* runInsert(statement: InsertStatement, context: StatementContext): Work<Written> {
  try {
    return yield* insertRows(statement, context);
  } catch (error) {
    // MariaDB would make the row fit, or leave it out.
    if (statement.ignore && error instanceof SqlError && FORGIVEN.includes(error.errno)) {
      throw new Error(`INSERT IGNORE of a row with error ${error.errno} is not simulated`, { cause: error });
    }
    throw error;
  }
}

function* insertRows(statement: InsertStatement, context: StatementContext): Work<Written> {
  const table = context.surroundings.table(statement.table);
  const names = statement.columns ?? table.columns.map(({ name }) => name);
  const positions = names.map((name) => positionIn(table, name, 'INSERT INTO'));
  const scope = scopeOf(table, context, 'VALUES');
  const assignments = statement.onDuplicate?.map((assignment) =>
    compileAssignment(table, assignment, scopeOf(table, context, 'SELECT'), 'UPDATE'),
  );
  const given =
    'kind' in statement.rows ? (yield* runQuery(statement.rows, context)).rows : rowsOf(statement.rows, scope, positions.length);
  const { transaction } = context;
  transaction.takesDuplicates = assignments !== undefined;
  transaction.touch(table, 'write');
  let affectedRows = 0;
  let insertId = 0;
  const numbers = new AutoIncrement(table);
  for (const [i, values] of given.entries()) {
    if (i > 0) yield BETWEEN_ROWS;
    const checked = newRow(table, positions, values, context);
    const row = numbers.fill(checked, given.length - i);
    const duplicate = yield* context.rows.insert(table, row);
    if (duplicate === undefined) {
      transaction.note({ op: 'insert', table, before: undefined, after: row });
      affectedRows++;
      if (insertId === 0) insertId = numbers.first;
      continue;
    }
    if (assignments !== undefined) affectedRows += yield* updateDuplicate(table, row, duplicate, assignments, context);
    else if (statement.ignore) context.surroundings.warn(duplicateError(duplicate));
    else throw duplicateError(duplicate);
  }
  return { affectedRows, insertId };
}

export function* runUpdate(statement: UpdateStatement, context: StatementContext): Work<Written> {
  const table = context.surroundings.table(statement.table);
  const assignments = statement.sets.map((assignment) => compileAssignment(table, assignment, scopeOf(table, context, 'SET'), 'SET'));
  const scope = scopeOf(table, context, 'WHERE');
  const access = accessOf(table, statement.where, scope, statement.index, () => context.surroundings.readsTable());
  const matches = filterOf(statement.where, scope);
  const affectedRows = yield* context.lockMatching(
    table,
    access,
    'X',
    matches,
    function* (entry) {
      yield* updateEntry(table, entry, assigned(table, entry.row as Row, undefined, assignments, context), context);
    },
    'semi-consistent',
  );
  return { affectedRows, insertId: 0 };
}

export function* runDelete(statement: DeleteStatement, context: StatementContext): Work<Written> {
  const table = context.surroundings.table(statement.table);
  const scope = scopeOf(table, context, 'WHERE');
  const access = accessOf(table, statement.where, scope, undefined, () => context.surroundings.readsTable());
  const affectedRows = yield* context.lockMatching(table, access, 'X', filterOf(statement.where, scope), function* (entry) {
    context.transaction.note({ op: 'delete', table, before: entry.row, after: undefined });
    yield* context.rows.delete(table, entry);
  });
  return { affectedRows, insertId: 0 };
}

interface CompiledAssignment {
  readonly column: Column;
  readonly position: number;
  readonly value: Compiled;
}

/** Where the values of the new row are in ON DUPLICATE KEY UPDATE. */
const NEW_ROWS = 1;

function scopeOf(table: Table, context: StatementContext, clause: string): Scope {
  return {
    clause,
    column(qualifier, name) {
      const position = qualifier === undefined || qualifier === table.name ? table.position(name) : undefined;
      return position === undefined ? undefined : { source: 0, position, type: (table.columns[position] as Column).type };
    },
    variable: (name) => context.variable(name),
    call: (name) => context.call(name),
    newRows: NEW_ROWS,
  };
}

function filterOf(where: Expression | undefined, scope: Scope): (context: Context) => boolean {
  if (where === undefined) return () => true;
  const condition = compile(where, scope);
  return (context) => isTrue(condition.evaluate(context));
}

function compileAssignment(table: Table, { column, value }: Assignment, scope: Scope, clause: string): CompiledAssignment {
  const position = positionIn(table, column, clause);
  return { position, column: table.columns[position] as Column, value: compile(value, scope) };
}

/** The values of each row; undefined stands for DEFAULT. */
function rowsOf(rows: readonly (readonly (Expression | 'default')[])[], scope: Scope, width: number): (SqlValue | undefined)[][] {
  return rows.map((row, i) => {
    if (row.length !== width) throw new SqlError(1136, '21S01', `Column count doesn't match value count at row ${i + 1}`);
    return row.map((each) => {
      if (each === 'default') return undefined;
      return each.kind === 'literal' ? each.value : compile(each, scope).evaluate({ rows: [] });
    });
  });
}

function newRow(table: Table, positions: readonly number[], values: readonly (SqlValue | undefined)[], context: StatementContext): Row {
  const row: SqlValue[] = table.columns.map((column, position) => {
    const at = positions.indexOf(position);
    const value = at < 0 ? undefined : values[at];
    if (column.autoIncrement && (value === undefined || value === null)) return null;
    if (value !== undefined) return taken(table, column, value, context);
    if (column.default !== undefined) return column.default;
    if (!column.notNull) return null;
    // An ENUM without a default takes its first member.
    if (column.type.members.length > 0) return column.type.members[0] as string;
    throw noDefault(column.name);
  });
  check(table, row, context);
  return row;
}

/** Numbers for the rows of one INSERT: the first row that needs one takes as many as there are rows left. */
class AutoIncrement {
  readonly #table: Table;
  readonly #position: number;
  #next = 0;
  #end = 0;
  /** The first that was given; 0 when none was. */
  first = 0;

  constructor(table: Table) {
    this.#table = table;
    this.#position = table.columns.findIndex(({ autoIncrement }) => autoIncrement);
  }

  fill(row: Row, rowsLeft: number): Row {
    if (this.#position < 0) return row;
    const given = row[this.#position] ?? null;
    if (given !== null) {
      this.#table.nextAutoIncrement = Math.max(this.#table.nextAutoIncrement, Number(given) + 1);
      return row;
    }
    if (this.#next === this.#end) {
      this.#next = this.#table.nextAutoIncrement;
      this.#end = this.#next + rowsLeft;
      this.#table.nextAutoIncrement = this.#end;
    }
    if (this.first === 0) this.first = this.#next;
    return row.with(this.#position, this.#next++);
  }
}

/** A value as the column keeps it. */
function taken(table: Table, column: Column, value: SqlValue, { surroundings }: StatementContext): SqlValue {
  if (value !== null) return stored(value, column.type, column.name, `\`${surroundings.database}\`.\`${table.name}\`.\`${column.name}\``);
  if (column.notNull) throw columnNotNull(column.name);
  return null;
}

function check(table: Table, row: Row, { surroundings }: StatementContext): void {
  for (const { name, condition } of table.checks) {
    const outcome = condition.evaluate({ rows: [row] });
    if (outcome !== null && !isTrue(outcome)) throw checkFailed(name, surroundings.database, table.name);
  }
  if (surroundings.isFull) throw tableFull(table.name);
}

/** The row with new values; each assignment sees those before it. */
function assigned(
  table: Table,
  before: Row,
  newValues: Row | undefined,
  assignments: readonly CompiledAssignment[],
  context: StatementContext,
): Row {
  const row = [...before];
  for (const { column, position, value } of assignments) {
    row[position] = taken(table, column, value.evaluate({ rows: newValues === undefined ? [row] : [row, newValues] }), context);
  }
  return row.every((value, i) => isSame(value, before[i] ?? null)) ? before : row;
}

function isSame(a: SqlValue, b: SqlValue): boolean {
  return a === b || (Buffer.isBuffer(a) && Buffer.isBuffer(b) && a.equals(b));
}

function* updateEntry(table: Table, entry: Entry, after: Row, context: StatementContext): Work<void> {
  const before = entry.row as Row;
  if (after !== before) {
    check(table, after, context);
    const duplicate = yield* context.rows.update(table, entry, after);
    if (duplicate !== undefined) throw duplicateError(duplicate);
  }
  context.transaction.note({ op: 'update', table, before, after });
}

function* updateDuplicate(
  table: Table,
  row: Row,
  duplicate: Duplicate,
  assignments: readonly CompiledAssignment[],
  context: StatementContext,
): Work<number> {
  const locked = yield* context.rows.lock(table, duplicate.entry.text, 'X');
  if (locked === undefined) throw new Error('a duplicate vanished although it was locked');
  const before = locked.entry.row as Row;
  const after = assigned(table, before, row, assignments, context);
  yield* updateEntry(table, locked.entry, after, context);
  return after === before ? 1 : 2;
}

function duplicateError({ index, key }: Duplicate): SqlError {
  return duplicateEntry(key.map((value) => (Buffer.isBuffer(value) ? value.toString('latin1') : String(value))).join('-'), index.name);
}
