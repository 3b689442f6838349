import { isTrue } from './compiled.ts';
import { compile, type Scope } from './expression.ts';
import type { Work } from './rows.ts';
import type { Expression, QueryStatement, SelectItem } from './sql/ast.ts';
import { nameTooLong, SqlError, userLockDeadlock } from './sql-error.ts';
import type { UserLocks } from './user-locks.ts';
import type { SqlValue } from './values.ts';

const FUNCTIONS = new Set(['GET_LOCK', 'RELEASE_LOCK', 'RELEASE_ALL_LOCKS', 'IS_USED_LOCK', 'IS_FREE_LOCK']);
const MAX_NAME_LENGTH = 192;
const WAIT_TIMEOUT = 1205;
/** By KILL QUERY, or because the statement took too long. */
const INTERRUPTED = [1317, 1969];

/** Who calls. */
export interface LockCaller {
  readonly sessionId: number;
  readonly locks: UserLocks;
  readonly scope: Scope;
}

/**
 * Calls the functions of locks by name among what a query without a table selects, from left to right, and gives the query
 * with their values in their place. Elsewhere they are not simulated.
 */
export function* callLockFunctions(query: QueryStatement, caller: LockCaller): Work<QueryStatement> {
  if (!query.selects.some(({ from, items }) => from === undefined && items.some((item) => item !== '*' && mentions(item.value))))
    return query;
  const selects = [];
  for (const select of query.selects) {
    const items: SelectItem[] = [];
    for (const item of select.items) items.push(item === '*' ? item : { ...item, value: yield* resolved(item.value, caller) });
    selects.push({ ...select, items });
  }
  return { ...query, selects };
}

function mentions(expression: Expression): boolean {
  if (expression.kind === 'call') return FUNCTIONS.has(expression.name) || expression.args.some(mentions);
  if (expression.kind === 'case') return expression.branches.some(({ when, result }) => mentions(when) || mentions(result));
  return expression.kind === 'binary' && (mentions(expression.left) || mentions(expression.right));
}

function* resolved(expression: Expression, caller: LockCaller): Work<Expression> {
  if (!mentions(expression)) return expression;
  if (expression.kind === 'binary') {
    if (expression.operator === 'AND' || expression.operator === 'OR') throw new Error('a lock that may be left out is not simulated');
    const left = yield* resolved(expression.left, caller);
    return { ...expression, left, right: yield* resolved(expression.right, caller) };
  }
  if (expression.kind === 'case') return yield* firstBranch(expression, caller);
  const { name, args } = expression as Extract<Expression, { kind: 'call' }>;
  if (!FUNCTIONS.has(name)) throw new Error(`a lock in a call of ${name} is not simulated`);
  const values = args.map((argument) => compile(argument, caller.scope).evaluate({ rows: [] }));
  const value = yield* call(name, values, caller);
  return { kind: 'literal', value, type: value === null ? 'null' : 'integer' };
}

/** What is not reached is not called. */
function* firstBranch({ subject, branches, otherwise }: Extract<Expression, { kind: 'case' }>, caller: LockCaller): Work<Expression> {
  if (subject !== undefined) throw new Error('a lock in a CASE with a subject is not simulated');
  for (const { when, result } of branches) {
    const condition = compile(yield* resolved(when, caller), caller.scope);
    if (isTrue(condition.evaluate({ rows: [] }))) return yield* resolved(result, caller);
  }
  return otherwise === undefined ? { kind: 'literal', value: null, type: 'null' } : yield* resolved(otherwise, caller);
}

function* call(name: string, [first = null, second = null]: readonly SqlValue[], caller: LockCaller): Work<number | null> {
  const { sessionId, locks } = caller;
  if (name === 'RELEASE_ALL_LOCKS') return locks.releaseAll(sessionId);
  if (first === null || first === '') return null;
  const lock = String(first);
  if (lock.length > MAX_NAME_LENGTH) throw nameTooLong(lock);
  switch (name) {
    case 'GET_LOCK':
      return yield* getLock(lock, second, caller);
    case 'RELEASE_LOCK':
      return locks.release(sessionId, lock);
    case 'IS_USED_LOCK':
      return locks.ownerOf(lock) ?? null;
    default:
      return locks.ownerOf(lock) === undefined ? 1 : 0;
  }
}

/** 1 when it has the lock, 0 when another had it for all the time, null when it was interrupted. */
function* getLock(name: string, timeout: SqlValue, { sessionId, locks }: LockCaller): Work<number | null> {
  if (typeof timeout !== 'number' || timeout < 0) throw new Error(`GET_LOCK with the timeout ${String(timeout)} is not simulated`);
  if (locks.take(sessionId, name)) return 1;
  if (timeout === 0) return 0;
  const wait = locks.wait(sessionId, name);
  if (wait === undefined) throw userLockDeadlock();
  try {
    yield { kind: 'user lock', wait, timeoutMs: timeout * 1000 };
    return 1;
  } catch (error) {
    if (!(error instanceof SqlError)) throw error;
    if (error.errno === WAIT_TIMEOUT) return 0;
    if (INTERRUPTED.includes(error.errno)) return null;
    throw error;
  }
}
