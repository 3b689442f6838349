import { BIGINT, computed, constantOf, INTEGER, isTrue, TEXT, type Compiled, type Context } from './compiled.ts';
import type { BinaryOperator, Expression } from './sql/ast.ts';
import { callOf, type Aggregate } from './functions.ts';
import { unknownColumn } from './sql-error.ts';
import { compareValues, keyText, parseDatetime, type SqlValue, type ValueType } from './values.ts';

/** What names mean. */
export interface Scope {
  /** `clause` is for the message of {@link unknownColumn}. */
  readonly clause: string;
  column(
    table: string | undefined,
    name: string,
  ): { readonly source: number; readonly position: number; readonly type: ValueType } | undefined;
  variable(name: string): SqlValue;
  /** The source with the rows that ON DUPLICATE KEY UPDATE was given. */
  readonly newRows?: number;
  call?(name: string): SqlValue | undefined;
}

export function compile(expression: Expression, scope: Scope): Compiled {
  switch (expression.kind) {
    case 'literal':
      return constantOf(expression.value, literalType(expression));
    case 'column':
      return compileColumn(expression.table, expression.name, scope);
    case 'values': {
      const { evaluate, ...rest } = compileColumn(undefined, expression.name, scope);
      return { ...rest, evaluate: ({ rows }) => evaluate({ rows: [rows[scope.newRows ?? 0]] }) };
    }
    case 'variable': {
      const value = scope.variable(expression.name);
      return constantOf(value, typeof value === 'string' ? TEXT : BIGINT);
    }
    case 'call':
      return compileCall(expression.name, expression.args, scope);
    case 'not': {
      const value = compile(expression.value, scope);
      return computed(INTEGER, [value], ([given]) => (given === null ? null : Number(!isTrue(given as SqlValue))));
    }
    case 'negative': {
      const value = compile(expression.value, scope);
      return computed(value.type, [value], ([given]) => (given === null ? null : -(given as number)));
    }
    case 'is null': {
      const { negated } = expression;
      return computed(INTEGER, [compile(expression.value, scope)], ([given]) => Number((given === null) !== negated));
    }
    case 'binary':
      return compileBinary(expression.operator, compile(expression.left, scope), compile(expression.right, scope));
    case 'in':
      return compileIn(expression, scope);
    case 'case':
      return compileCase(expression, scope);
    case 'tuple':
      throw new Error('a tuple stands where the simulation does not know one');
  }
}

const MAX_INT = 2 ** 31;

function literalType({ type, value }: Extract<Expression, { kind: 'literal' }>): ValueType {
  if (type === 'text') return TEXT;
  return type === 'integer' ? { kind: type, wide: Math.abs(Number(value)) >= MAX_INT } : { kind: type };
}

function compileColumn(table: string | undefined, name: string, scope: Scope): Compiled {
  const column = scope.column(table, name);
  if (column === undefined) throw unknownColumn(table === undefined ? name : `${table}.${name}`, scope.clause);
  const { source, position, type } = column;
  // A row that a LEFT JOIN did not find is all nulls.
  return { type, evaluate: ({ rows }) => rows[source]?.[position] ?? null };
}

function compileCall(name: string, args: readonly Expression[], scope: Scope): Compiled {
  const given = scope.call?.(name);
  if (given !== undefined) return constantOf(given, typeof given === 'string' ? TEXT : INTEGER);
  const parts = args.map((argument) => compile(argument, scope));
  const found = callOf(name, parts);
  if (!isAggregate(found)) return found;
  return {
    type: found.type,
    evaluate: ({ group }) => found.aggregate((group as readonly Context[]).map((each) => parts[0]?.evaluate(each) ?? null)),
  };
}

function isAggregate(found: Compiled | Aggregate): found is Aggregate {
  return 'aggregate' in found;
}

function compileBinary(operator: BinaryOperator, left: Compiled, right: Compiled): Compiled {
  switch (operator) {
    case 'AND':
    case 'OR': {
      // What decides alone, whatever the other side is.
      const decisive = operator === 'OR';
      const evaluate = (context: Context) => {
        const first = left.evaluate(context);
        if (first !== null && isTrue(first) === decisive) return Number(decisive);
        const second = right.evaluate(context);
        if (second !== null && isTrue(second) === decisive) return Number(decisive);
        return first === null || second === null ? null : Number(!decisive);
      };
      return { type: INTEGER, evaluate };
    }
    case '+':
    case '-':
    case '*':
    case 'DIV':
    case '%':
      return computed(arithmeticType(left.type, right.type), [left, right], ([a, b]) => arithmetic(operator, a ?? null, b ?? null));
    case '=':
    case '<>':
    case '<':
    case '<=':
    case '>':
    case '>=': {
      const [a, b, type] = comparable(left, right);
      const test = TESTS[operator];
      return computed(INTEGER, [a, b], ([x, y]) =>
        x === null || y === null ? null : Number(test(compareValues(x as string, y as string, type))),
      );
    }
  }
}

const TESTS = {
  '=': (order: number) => order === 0,
  '<>': (order: number) => order !== 0,
  '<': (order: number) => order < 0,
  '<=': (order: number) => order <= 0,
  '>': (order: number) => order > 0,
  '>=': (order: number) => order >= 0,
};

function arithmeticType(a: ValueType, b: ValueType): ValueType {
  if (a.kind === 'double' || b.kind === 'double') return { kind: 'double' };
  return a.wide === true || b.wide === true ? BIGINT : INTEGER;
}

function arithmetic(operator: '+' | '-' | '*' | 'DIV' | '%', a: SqlValue, b: SqlValue): SqlValue {
  if (a === null || b === null) return null;
  if (typeof a !== 'number' || typeof b !== 'number') throw new Error('arithmetic on other than numbers is not simulated');
  if ((operator === 'DIV' || operator === '%') && b === 0) return null;
  const result = { '+': a + b, '-': a - b, '*': a * b, DIV: Math.trunc(a / b), '%': a % b }[operator];
  if (Number.isInteger(a) && Number.isInteger(b) && !Number.isSafeInteger(result))
    throw new Error('arithmetic beyond 2^53 is not simulated');
  return result;
}

/** Both sides as they are compared, and as what. */
export function comparable(left: Compiled, right: Compiled): [Compiled, Compiled, ValueType] {
  const [a, b] = [left.type, right.type];
  if (a.kind === 'null' || b.kind === 'null') return [left, right, a.kind === 'null' ? b : a];
  if (a.kind === 'datetime' && b.kind === 'text') return [left, asDatetime(right), a];
  if (a.kind === 'text' && b.kind === 'datetime') return [asDatetime(left), right, b];
  if (isNumeric(a) && isNumeric(b)) return [left, right, a];
  if (a.kind === 'text' && b.kind === 'text') return [left, right, left.constant !== undefined ? b : a];
  if (a.kind === b.kind) return [left, right, a];
  if ((a.kind === 'bytes' && b.kind === 'text') || (a.kind === 'text' && b.kind === 'bytes')) return [left, right, { kind: 'bytes' }];
  throw new Error(`comparing ${a.kind} with ${b.kind} is not simulated`);
}

function isNumeric({ kind }: ValueType): boolean {
  return kind === 'integer' || kind === 'double' || kind === 'decimal';
}

function asDatetime(part: Compiled): Compiled {
  return computed({ kind: 'datetime' }, [part], ([text]) => {
    if (text === null) return null;
    const point = parseDatetime(String(text), 6);
    if (point === undefined) throw new Error('a comparison of time with what is none is not simulated');
    return point;
  });
}

function compileIn({ value, list, negated }: Extract<Expression, { kind: 'in' }>, scope: Scope): Compiled {
  if (value.kind === 'tuple') {
    const alternatives = list.map((each) => {
      if (each.kind !== 'tuple' || each.items.length !== value.items.length) throw new Error('a list of other than tuples for a tuple');
      return all(value.items.map((item, i) => ({ kind: 'binary', operator: '=', left: item, right: each.items[i] as Expression })));
    });
    const found = compile(any(alternatives), scope);
    return negated ? computed(INTEGER, [found], ([given]) => (given === null ? null : Number(!isTrue(given as SqlValue)))) : found;
  }
  const subject = compile(value, scope);
  const items = list.map((each) => comparable(subject, compile(each, scope)));
  const type = items[0]?.[2] as ValueType;
  const known = new Set<string>();
  let hasNull = false;
  for (const [, item] of items) {
    if (item.constant === undefined) throw new Error('a list with other than constants is not simulated');
    if (item.constant.value === null) hasNull = true;
    else known.add(keyText(item.constant.value, type));
  }
  return computed(INTEGER, [subject], ([given]) => {
    if (given === null) return null;
    const found = known.has(keyText(given as string, type));
    return !found && hasNull ? null : Number(found !== negated);
  });
}

function all(conditions: readonly Expression[]): Expression {
  return conditions.reduce((left, right) => ({ kind: 'binary', operator: 'AND', left, right }));
}

/** As a balanced tree: a list may be long. */
function any(conditions: readonly Expression[]): Expression {
  if (conditions.length === 1) return conditions[0] as Expression;
  const middle = conditions.length >> 1;
  return { kind: 'binary', operator: 'OR', left: any(conditions.slice(0, middle)), right: any(conditions.slice(middle)) };
}

function compileCase({ subject, branches, otherwise }: Extract<Expression, { kind: 'case' }>, scope: Scope): Compiled {
  const cases = branches.map(({ when, result }) => ({
    when: compile(subject === undefined ? when : { kind: 'binary', operator: '=', left: subject, right: when }, scope),
    result: compile(result, scope),
  }));
  const last = otherwise === undefined ? undefined : compile(otherwise, scope);
  const type = cases.map(({ result }) => result.type).find(({ kind }) => kind !== 'null') ?? { kind: 'null' };
  return {
    type,
    evaluate(context) {
      for (const { when, result } of cases) if (isTrue(when.evaluate(context))) return result.evaluate(context);
      return last?.evaluate(context) ?? null;
    },
  };
}
