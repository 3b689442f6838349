import { accessOf, type Access } from './access.ts';
import { isTrue, type Compiled, type Context } from './compiled.ts';
import { compile, type Scope } from './expression.ts';
import type { Work } from './rows.ts';
import type { Select, SelectItem, Source, Expression, QueryStatement, Statement } from './sql/ast.ts';
import { unknownColumn } from './sql-error.ts';
import type { StatementContext } from './statement-context.ts';
import { Table, type Entry } from './table.ts';
import { compareValues, type Row, type SqlValue, type ValueType } from './values.ts';

/** What a query gives. */
export interface ResultSet {
  readonly columns: readonly { readonly name: string; readonly type: ValueType }[];
  readonly rows: readonly Row[];
}

/** Runs a query. Without a locking clause it sees what is committed and what its own transaction did, and waits for nothing. */
export function* runQuery(query: QueryStatement, context: StatementContext): Work<ResultSet> {
  if (!query.selects.every(isOfCatalogue)) return yield* runSelects(query, context);
  // The sink asks the same again and again, and the answer changes with the definitions only.
  const { catalogueAnswers } = context.surroundings;
  let answer = catalogueAnswers.get(query);
  if (answer === undefined) catalogueAnswers.set(query, (answer = yield* runSelects(query, context)));
  return answer;
}

/** Whether it reads nothing but constants and definitions in `information_schema`. */
function isOfCatalogue({ from, joins }: Select): boolean {
  const sources = [...(from === undefined ? [] : [from]), ...joins.map(({ source }) => source)];
  return sources.length > 0 && sources.every(isDefinition);
}

function isDefinition(source: Source): boolean {
  if (source.kind !== 'table' || source.schema?.toLowerCase() !== 'information_schema') return false;
  return source.name.toLowerCase() !== 'processlist';
}

function* runSelects(query: QueryStatement, context: StatementContext): Work<ResultSet> {
  const results: ResultSet[] = [];
  for (const select of query.selects) results.push(yield* runSelect(select, context));
  const [first] = results as [ResultSet];
  return results.length === 1 ? first : { columns: first.columns, rows: results.flatMap(({ rows }) => rows) };
}

/** A source whose rows have been read. */
interface Read {
  readonly alias: string;
  readonly columns: readonly { readonly name: string; readonly type: ValueType }[];
  readonly rows: readonly Row[];
}

function* runSelect(select: Select, context: StatementContext): Work<ResultSet> {
  const sources: Read[] = [];
  if (select.from !== undefined) sources.push(yield* readSource(select.from, select, context));
  for (const { source } of select.joins) sources.push(yield* readSource(source, { ...select, where: undefined }, context));
  const scope = scopeOf(sources, context);
  const matches = filterOf(select.where, scope('WHERE'));
  let found = joined(sources, select, scope('ON')).filter(matches);
  const items = select.items.flatMap((item) => itemsOf(item, sources));
  const values = items.map(({ value }) => compile(value, scope('SELECT')));
  if (select.groupBy.length > 0 || items.some(({ value }) => aggregates(value))) found = grouped(found, select.groupBy, scope('GROUP BY'));
  if (select.having !== undefined) found = found.filter(filterOf(select.having, scope('HAVING')));
  found = ordered(found, select.orderBy, scope('ORDER BY')).slice(0, select.limit);
  return {
    columns: items.map(({ name }, i) => ({ name, type: (values[i] as Compiled).type })),
    rows: found.map((each) => values.map((value) => value.evaluate(each))),
  };
}

function* readSource(source: Source, select: Select, context: StatementContext): Work<Read> {
  if (source.kind === 'derived') {
    const { columns, rows } = yield* runQuery(source.query, context);
    return { alias: source.alias, columns, rows };
  }
  const table = context.source(source.schema, source.name);
  const { alias } = source;
  if (!(table instanceof Table)) return { alias, ...table };
  const read = { alias, columns: table.columns };
  const scope = scopeOf([{ ...read, rows: [] }], context)('WHERE');
  // In a join the condition is about more than this table.
  const where = select.joins.length === 0 ? select.where : undefined;
  if (select.lock === undefined) return { ...read, rows: visibleRows(table, accessOf(table, where, scope, source.index), context) };
  if (select.joins.length > 0) throw new Error('a join that locks is not simulated');
  const access = accessOf(table, where, scope, source.index, () => context.surroundings.readsTable());
  const rows: Row[] = [];
  const found = (entry: Entry) => {
    rows.push(entry.row as Row);
    return undefined;
  };
  const reading = access.kind === 'points' && access.keys.length === 1 ? 'constant' : 'consistent';
  yield* context.lockMatching(table, access, select.lock === 'update' ? 'X' : 'S', filterOf(where, scope), found, reading);
  return { ...read, rows };
}

function visibleRows(table: Table, access: Access, context: StatementContext): Row[] {
  let entries: readonly (Entry | undefined)[];
  if (access.kind === 'points' && access.index === table.primary) {
    entries = access.keys.map((key) => table.entries.get(table.primary.textOf(key)));
  } else entries = access.kind === 'scan' ? table.sorted().filter((entry) => access.within(entry)) : table.sorted();
  return entries.flatMap((entry) => {
    const row = entry === undefined ? undefined : context.visible(entry);
    return row === undefined ? [] : [row];
  });
}

function scopeOf(sources: readonly Read[], context: StatementContext): (clause: string) => Scope {
  return (clause) => ({
    clause,
    column(table, name) {
      for (let source = 0; source < sources.length; source++) {
        const { alias, columns } = sources[source] as Read;
        if (table !== undefined && table !== alias) continue;
        const position = positionOf(columns, name);
        const column = columns[position];
        if (column !== undefined) return { source, position, type: column.type };
      }
      return undefined;
    },
    variable: (name) => context.variable(name),
    call: (name) => context.call(name),
  });
}

/** -1 when there is none. */
function positionOf(columns: Read['columns'], name: string): number {
  // Mostly it is written as it was defined.
  for (let i = 0; i < columns.length; i++) if (columns[i]?.name === name) return i;
  const lower = name.toLowerCase();
  return columns.findIndex((column) => column.name.toLowerCase() === lower);
}

function filterOf(condition: Expression | undefined, scope: Scope): (context: Context) => boolean {
  if (condition === undefined) return () => true;
  const compiled = compile(condition, scope);
  return (context) => isTrue(compiled.evaluate(context));
}

function joined(sources: readonly Read[], { joins }: Select, scope: Scope): Context[] {
  const [first, ...others] = sources;
  if (first === undefined) return [{ rows: [] }];
  let found: Context[] = first.rows.map((row) => ({ rows: [row] }));
  for (const [i, source] of others.entries()) {
    const matches = filterOf(joins[i]?.on, scope);
    found = found.flatMap(({ rows }) => {
      const pairs = source.rows.map((row) => ({ rows: [...rows, row] })).filter(matches);
      return pairs.length === 0 ? [{ rows: [...rows, undefined] }] : pairs;
    });
  }
  return found;
}

function itemsOf(item: SelectItem, sources: readonly Read[]): { name: string; value: Expression }[] {
  if (item === '*') {
    return sources.flatMap(({ alias, columns }) =>
      columns.map(({ name }) => ({ name, value: { kind: 'column' as const, table: alias, name } })),
    );
  }
  const { value, alias } = item;
  return [{ name: alias ?? (value.kind === 'column' ? value.name : '?'), value }];
}

const AGGREGATES = ['COUNT', 'SUM', 'MAX'];

function aggregates(expression: Expression): boolean {
  if (expression.kind !== 'call') return false;
  return AGGREGATES.includes(expression.name) || expression.args.some(aggregates);
}

/** One context for each group; without a list all rows are one, also if there is none. */
function grouped(found: readonly Context[], by: readonly Expression[], scope: Scope): Context[] {
  if (by.length === 0) return [{ rows: found[0]?.rows ?? [], group: found }];
  const keys = by.map((each) => compile(each, scope));
  const groups = Map.groupBy(found, (each) => JSON.stringify(keys.map((key) => groupKeyOf(key.evaluate(each)))));
  return [...groups.values()].map((group) => ({ rows: (group[0] as Context).rows, group }));
}

function ordered(found: readonly Context[], orderBy: Select['orderBy'], scope: Scope): readonly Context[] {
  if (orderBy.length === 0) return found;
  const keys = orderBy.map(({ by, descending }) => ({ value: compile(by, scope), sign: descending ? -1 : 1 }));
  return found
    .map((context) => ({ context, values: keys.map(({ value }) => value.evaluate(context)) }))
    .sort((a, b) => {
      for (const [i, { value, sign }] of keys.entries()) {
        const order = compareNullable(a.values[i] ?? null, b.values[i] ?? null, value.type);
        if (order !== 0) return order * sign;
      }
      return 0;
    })
    .map(({ context }) => context);
}

function compareNullable(a: SqlValue, b: SqlValue, type: ValueType): number {
  if (a === null || b === null) return a === b ? 0 : a === null ? -1 : 1;
  return compareValues(a, b, type);
}

/** The table that a statement names must have the column. */
export function positionIn(table: Table, column: string, clause: string): number {
  const position = table.position(column);
  if (position === undefined) throw unknownColumn(column, clause);
  return position;
}

/** The tables of the database that a statement uses, in their order. */
export function tablesOf(statement: Statement): readonly string[] {
  switch (statement.kind) {
    case 'query':
      return statement.selects.flatMap(({ from, joins }) => [
        ...(from === undefined ? [] : sourceTables(from)),
        ...joins.flatMap(({ source }) => sourceTables(source)),
      ]);
    case 'insert':
      return [statement.table, ...('kind' in statement.rows ? tablesOf(statement.rows) : [])];
    case 'update':
    case 'delete':
      return [statement.table];
    default:
      return [];
  }
}

function sourceTables(source: Source): readonly string[] {
  if (source.kind === 'derived') return tablesOf(source.query);
  return source.schema === undefined ? [source.name] : [];
}

/** Bytes may be no text. */
function groupKeyOf(value: SqlValue): string {
  return value instanceof Uint8Array ? Buffer.from(value).toString('hex') : String(value);
}
