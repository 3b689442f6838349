import { BIGINT, computed, INTEGER, isTrue, type Compiled } from './compiled.ts';
import { compareValues, type SqlValue, type ValueType } from './values.ts';

/** A function of all rows of a group. */
export interface Aggregate {
  readonly type: ValueType;
  aggregate(values: readonly SqlValue[]): SqlValue;
}

/** The function of that name, applied to `args`. */
export function callOf(name: string, args: readonly Compiled[]): Compiled | Aggregate {
  const [first] = args;
  switch (name) {
    case 'COUNT':
      return { type: BIGINT, aggregate: (values) => (first === undefined ? values : values.filter((value) => value !== null)).length };
    case 'SUM':
      return { type: { kind: 'decimal' }, aggregate: (values) => sum(values) };
    case 'MAX': {
      const { type } = first as Compiled;
      return {
        type,
        aggregate: (values) => values.reduce((a, b) => (a === null || (b !== null && compareValues(b, a, type) > 0) ? b : a), null),
      };
    }
    case 'COALESCE': {
      const { type } = first as Compiled;
      return { type, evaluate: (context) => args.map((part) => part.evaluate(context)).find((value) => value !== null) ?? null };
    }
    case 'JSON_VALID':
      return computed(INTEGER, args, ([text]) => (text === null ? null : Number(isJson(String(text)))));
    case 'CHAR_LENGTH':
      return computed(INTEGER, args, ([text]) => (text === null ? null : Array.from(String(text)).length));
    case 'TIMESTAMPDIFF':
      return computed(BIGINT, args, ([unit, from, to]) => {
        if (unit !== 'MICROSECOND') throw new Error('TIMESTAMPDIFF in other than microseconds is not simulated');
        return from === null || to === null ? null : microseconds(String(to)) - microseconds(String(from));
      });
    case 'IF':
      return {
        type: (args[1] as Compiled).type,
        evaluate: (context) => (isTrue((first as Compiled).evaluate(context)) ? args[1] : args[2])?.evaluate(context) ?? null,
      };
    default:
      throw new Error(`the function ${name} is not simulated`);
  }
}

function sum(values: readonly SqlValue[]): SqlValue {
  const numbers = values.filter((value) => value !== null).map(Number);
  return numbers.length === 0 ? null : numbers.reduce((a, b) => a + b, 0);
}

function microseconds(text: string): number {
  const [date = '', time = '00:00:00'] = text.split(' ');
  const [whole = '', fraction = ''] = time.split('.');
  return Date.parse(`${date}T${whole}Z`) * 1000 + Number(fraction.padEnd(6, '0').slice(0, 6));
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
