import { CONNECTION_COLLATION, type Row, type SqlValue, type ValueType } from './values.ts';

/** The rows that an expression looks at, one of each source; where rows are grouped, also those of the group. */
export interface Context {
  readonly rows: readonly (Row | undefined)[];
  readonly group?: readonly Context[];
}

/** An expression whose names are resolved. */
export interface Compiled {
  readonly type: ValueType;
  evaluate(context: Context): SqlValue;
  /** The value, if it is the same for every row. */
  readonly constant?: { readonly value: SqlValue };
}

export const INTEGER: ValueType = { kind: 'integer' };
export const BIGINT: ValueType = { kind: 'integer', wide: true };
export const TEXT: ValueType = { kind: 'text', collation: CONNECTION_COLLATION };

/** Whether a condition holds; null does not. */
export function isTrue(value: SqlValue): boolean {
  if (typeof value === 'string' || Buffer.isBuffer(value)) throw new Error('text as a condition is not simulated');
  return value !== null && Number(value) !== 0;
}

export function constantOf(value: SqlValue, type: ValueType): Compiled {
  return { type, evaluate: () => value, constant: { value } };
}

/** Calls `compute` with the values of `parts`, at once if they are all constant. */
export function computed(type: ValueType, parts: readonly Compiled[], compute: (values: readonly SqlValue[]) => SqlValue): Compiled {
  if (parts.every((part) => part.constant !== undefined)) {
    return constantOf(compute(parts.map((part) => part.constant?.value ?? null)), type);
  }
  const [first, second] = parts as [Compiled, Compiled?];
  if (parts.length === 1) return { type, evaluate: (context) => compute([first.evaluate(context)]) };
  if (parts.length === 2 && second !== undefined)
    return { type, evaluate: (context) => compute([first.evaluate(context), second.evaluate(context)]) };
  return { type, evaluate: (context) => compute(parts.map((part) => part.evaluate(context))) };
}
