import type {
  Assignment,
  DeleteStatement,
  Expression,
  InsertStatement,
  QueryStatement,
  Select,
  SelectItem,
  Source,
  Statement,
  UpdateStatement,
} from './ast.ts';
import { Cursor } from './cursor.ts';
import { readAlterTable, readCreateTable } from './definitions.ts';
import { readExpression } from './expressions.ts';

/** Statements that were read, by their text: many are sent again and again. */
const known = new Map<string, Statement>();
const MAX_KNOWN = 2_000;

/**
 * Reads one statement of those that the sink sends, and of those that tests need beside it.
 * @throws {UnsupportedSql} for everything else.
 */
export function parseStatement(sql: string): Statement {
  let statement = known.get(sql);
  if (statement === undefined) {
    if (known.size >= MAX_KNOWN) known.clear();
    known.set(sql, (statement = read(sql)));
  }
  return statement;
}

function read(sql: string): Statement {
  const cursor = new Cursor(sql);
  const statement = readStatement(cursor);
  cursor.end();
  return statement;
}

function readStatement(cursor: Cursor): Statement {
  if (cursor.sees('SELECT') || cursor.sees('(')) return readQuery(cursor);
  const { upper } = cursor.next();
  switch (upper) {
    case 'INSERT':
      return readInsert(cursor);
    case 'UPDATE':
      return readUpdate(cursor);
    case 'DELETE':
      return readDelete(cursor);
    case 'START':
      cursor.expect('TRANSACTION');
      return { kind: 'begin' };
    case 'BEGIN':
      return { kind: 'begin' };
    case 'COMMIT':
      return { kind: 'commit' };
    case 'ROLLBACK':
      if (!cursor.takes('TO')) return { kind: 'rollback' };
      cursor.takes('SAVEPOINT');
      return { kind: 'rollback to', name: cursor.name() };
    case 'SAVEPOINT':
      return { kind: 'savepoint', name: cursor.name() };
    case 'RELEASE':
      cursor.expect('SAVEPOINT');
      return { kind: 'release', name: cursor.name() };
    case 'SET':
      return readSet(cursor);
    case 'SHOW':
      if (cursor.takes('WARNINGS')) return { kind: 'show warnings' };
      cursor.expect('GLOBAL', 'VARIABLES');
      return { kind: 'show variables', where: readWhere(cursor) };
    case 'CREATE':
      cursor.expect('TABLE');
      return readCreateTable(cursor);
    case 'ALTER':
      cursor.expect('TABLE');
      return readAlterTable(cursor);
    case 'DO':
      return readDo(cursor);
    case 'KILL': {
      const what = cursor.takes('QUERY') ? 'query' : 'connection';
      if (what === 'connection') cursor.takes('CONNECTION');
      return { kind: 'kill', what, id: cursor.integer() };
    }
    default:
      return cursor.fail('a statement of this kind');
  }
}

function readQuery(cursor: Cursor): QueryStatement {
  if (!cursor.sees('(')) return { kind: 'query', selects: [readSelect(cursor)] };
  const selects: Select[] = [];
  do {
    cursor.expect('(');
    selects.push(readSelect(cursor));
    cursor.expect(')');
  } while (cursor.takes('UNION', 'ALL'));
  return { kind: 'query', selects };
}

function readSelect(cursor: Cursor): Select {
  cursor.expect('SELECT');
  const items = cursor.list(() => readItem(cursor));
  const from = cursor.takes('FROM') ? readSource(cursor) : undefined;
  const joins = [];
  while (cursor.takes('LEFT', 'JOIN')) {
    const source = readSource(cursor);
    cursor.expect('ON');
    joins.push({ source, on: readExpression(cursor) });
  }
  const where = readWhere(cursor);
  const groupBy = cursor.takes('GROUP', 'BY') ? cursor.list(() => readExpression(cursor)) : [];
  const having = cursor.takes('HAVING') ? readExpression(cursor) : undefined;
  const orderBy = cursor.takes('ORDER', 'BY') ? cursor.list(() => readOrder(cursor)) : [];
  const limit = cursor.takes('LIMIT') ? cursor.integer() : undefined;
  return { items, from, joins, where, groupBy, having, orderBy, limit, lock: readLock(cursor) };
}

function readDo(cursor: Cursor): Statement {
  const items = cursor.list(() => ({ value: readExpression(cursor), alias: undefined }));
  const nothing = { from: undefined, joins: [], where: undefined, groupBy: [], having: undefined, orderBy: [], limit: undefined };
  return { kind: 'do', query: { kind: 'query', selects: [{ ...nothing, items, lock: undefined }] } };
}

function readItem(cursor: Cursor): SelectItem {
  if (cursor.takes('*')) return '*';
  const value = readExpression(cursor);
  return { value, alias: cursor.takes('AS') ? cursor.name() : undefined };
}

function readOrder(cursor: Cursor) {
  const by = readExpression(cursor);
  const descending = cursor.takes('DESC');
  if (!descending) cursor.takes('ASC');
  return { by, descending };
}

function readLock(cursor: Cursor): Select['lock'] {
  if (cursor.takes('FOR', 'UPDATE')) return 'update';
  return cursor.takes('LOCK', 'IN', 'SHARE', 'MODE') ? 'share' : undefined;
}

/** Words that end a source, and so are no alias. */
const AFTER_SOURCE = ['LEFT', 'ON', 'WHERE', 'GROUP', 'HAVING', 'ORDER', 'LIMIT', 'FOR', 'LOCK', 'FORCE', 'SET', 'UNION'];

function readSource(cursor: Cursor): Source {
  if (cursor.takes('(')) {
    const query = readQuery(cursor);
    cursor.expect(')');
    cursor.takes('AS');
    return { kind: 'derived', query, alias: cursor.name() };
  }
  let schema: string | undefined;
  let name = cursor.name();
  if (cursor.takes('.')) {
    schema = name;
    name = cursor.name();
  }
  let alias = name;
  if (cursor.takes('AS') || (cursor.token.kind === 'word' && !AFTER_SOURCE.includes(cursor.token.upper))) alias = cursor.name();
  return { kind: 'table', schema, name, alias, index: readForcedIndex(cursor) };
}

function readForcedIndex(cursor: Cursor): string | undefined {
  if (!cursor.takes('FORCE', 'INDEX')) return undefined;
  const [index, ...more] = cursor.names();
  if (more.length > 0) cursor.fail('several indexes');
  return index;
}

function readWhere(cursor: Cursor): Expression | undefined {
  return cursor.takes('WHERE') ? readExpression(cursor) : undefined;
}

function readInsert(cursor: Cursor): InsertStatement {
  const ignore = cursor.takes('IGNORE');
  cursor.expect('INTO');
  const table = cursor.name();
  const columns = cursor.sees('(') ? cursor.names() : undefined;
  if (cursor.sees('SELECT')) return { kind: 'insert', table, ignore, columns, rows: readQuery(cursor), onDuplicate: undefined };
  cursor.expect('VALUES');
  const rows = cursor.list(() => {
    cursor.expect('(');
    const values = cursor.list(() => (cursor.takes('DEFAULT') ? ('default' as const) : readExpression(cursor)));
    cursor.expect(')');
    return values;
  });
  const onDuplicate = cursor.takes('ON', 'DUPLICATE', 'KEY', 'UPDATE') ? cursor.list(() => readAssignment(cursor)) : undefined;
  return { kind: 'insert', table, ignore, columns, rows, onDuplicate };
}

function readAssignment(cursor: Cursor): Assignment {
  let column = cursor.name();
  if (cursor.takes('.')) column = cursor.name();
  cursor.expect('=');
  return { column, value: readExpression(cursor) };
}

function readUpdate(cursor: Cursor): UpdateStatement {
  const table = cursor.name();
  const index = readForcedIndex(cursor);
  cursor.expect('SET');
  const sets = cursor.list(() => readAssignment(cursor));
  return { kind: 'update', table, index, sets, where: readWhere(cursor) };
}

function readDelete(cursor: Cursor): DeleteStatement {
  cursor.expect('FROM');
  const table = cursor.name();
  return { kind: 'delete', table, where: readWhere(cursor) };
}

function readSet(cursor: Cursor): Statement {
  const scope = cursor.takes('GLOBAL') ? 'global' : 'session';
  if (scope === 'session') cursor.takes('SESSION');
  const assignments = cursor.list(() => {
    const name = cursor.name().toLowerCase();
    cursor.expect('=');
    if (cursor.takes('DEFAULT')) return { scope, name, value: 'default' as const } as const;
    // Charsets and the like are written as words.
    if (cursor.token.kind === 'word' && !['TRUE', 'FALSE', 'NULL'].includes(cursor.token.upper)) {
      return { scope, name, value: { kind: 'literal', value: cursor.next().text, type: 'text' } } as const;
    }
    return { scope, name, value: readExpression(cursor) } as const;
  });
  return { kind: 'set', assignments };
}
