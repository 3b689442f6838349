/** What a script computes with; nil is undefined. Strings are binary: each character is one byte. */
export type LuaValue = undefined | boolean | number | string | LuaTable;

/** An error that a script raises, as Lua words it: the caller adds where. */
export class LuaError extends Error {
  override name = 'LuaError';
}

/** What Redis's Lua can do and the simulation cannot: never an answer, always a test that fails. */
export class OutsideSubset extends Error {
  override name = 'OutsideSubset';
}

const NO_FIELDS: ReadonlyMap<LuaValue, LuaValue> = new Map();

/**
 * A table: `list` holds the keys 1, 2, 3, …, `fields` the others in the order in which they were set. A list with nil in
 * it, which only a constructor makes, can be returned and indexed; what Lua says of its length depends on its innards.
 */
export class LuaTable {
  readonly list: LuaValue[];
  /** Made when it is needed: most tables are lists. */
  #fields: Map<LuaValue, LuaValue> | undefined;
  readonly #hasNil: boolean;

  constructor(list: LuaValue[] = []) {
    this.list = list;
    this.#hasNil = list.includes(undefined);
  }

  get fields(): ReadonlyMap<LuaValue, LuaValue> {
    return this.#fields ?? NO_FIELDS;
  }

  get(key: LuaValue): LuaValue {
    if (typeof key === 'number' && key >= 1 && key <= this.list.length) return this.list[key - 1];
    return this.#fields?.get(key);
  }

  get length(): number {
    if (this.#hasNil) throw new OutsideSubset('the length of a list with nil in it');
    return this.list.length;
  }

  set(key: LuaValue, value: LuaValue): void {
    if (typeof key === 'number') {
      if (this.#hasNil) throw new OutsideSubset('an assignment to a list with nil in it');
      if (value !== undefined && key === this.list.length + 1) this.list.push(value);
      else if (value !== undefined && Number.isInteger(key) && key >= 1 && key <= this.list.length) this.list[key - 1] = value;
      else throw new OutsideSubset(`a table with a number that continues no list: ${key} after ${this.list.length}`);
    } else if (key === undefined) throw new LuaError('table index is nil');
    else if (value === undefined) this.#fields?.delete(key);
    else (this.#fields ??= new Map()).set(key, value);
  }

  /** A field whose name stands in the source. */
  with(name: string, value: LuaValue): this {
    if (value !== undefined) (this.#fields ??= new Map()).set(name, value);
    return this;
  }
}

export function typeOf(value: LuaValue): string {
  if (value === undefined) return 'nil';
  return value instanceof LuaTable ? 'table' : typeof value;
}

export function isTrue(value: LuaValue): boolean {
  return value !== undefined && value !== false;
}

/** As `tonumber` reads: a number, or a string that is nothing but one. */
export function toNumber(value: LuaValue): number | undefined {
  if (typeof value === 'number') return value;
  if (typeof value !== 'string') return undefined;
  // As most are.
  if (/^\d+$/.test(value)) return Number(value);
  const text = value.replace(/^[ \t\n\v\f\r]+|[ \t\n\v\f\r]+$/g, '');
  if (/^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$/.test(text)) return Number(text);
  if (/^[-+]?(0x|inf|nan)/i.test(text)) throw new OutsideSubset(`the number ${text}`);
  return undefined;
}

/** As Lua writes a number where a string is wanted (`%.14g`), and Redis when it is an argument of a command (`%.17g`). */
export function numberText(value: number, digits: 14 | 17): string {
  if (Number.isSafeInteger(value) && Math.abs(value) < 1e14) return Object.is(value, -0) ? '-0' : String(value);
  if (Number.isNaN(value)) throw new OutsideSubset('the text of what is not a number');
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  const exponent = Number(value.toExponential(digits - 1).split('e')[1]);
  if (exponent < -4 || exponent >= digits) {
    const [mantissa = '', power = ''] = value.toExponential(digits - 1).split('e');
    return `${withoutZeros(mantissa)}e${power.replace(/^([-+])(\d)$/, '$10$2')}`;
  }
  return withoutZeros(value.toFixed(digits - 1 - exponent));
}

function withoutZeros(text: string): string {
  return text.includes('.') ? text.replace(/\.?0+$/, '') : text;
}

/** What the source calls an operand, as Lua does in its messages: `local 'x'`, `field 'seq'`; empty when it has no name. */
type OperandName = string;

export function add(a: LuaValue, b: LuaValue, nameOfA: OperandName = '', nameOfB: OperandName = ''): number {
  return typeof a === 'number' && typeof b === 'number' ? a + b : operand(a, nameOfA) + operand(b, nameOfB);
}

export function subtract(a: LuaValue, b: LuaValue, nameOfA: OperandName = '', nameOfB: OperandName = ''): number {
  return typeof a === 'number' && typeof b === 'number' ? a - b : operand(a, nameOfA) - operand(b, nameOfB);
}

export function multiply(a: LuaValue, b: LuaValue, nameOfA: OperandName = '', nameOfB: OperandName = ''): number {
  return typeof a === 'number' && typeof b === 'number' ? a * b : operand(a, nameOfA) * operand(b, nameOfB);
}

export function divide(a: LuaValue, b: LuaValue, nameOfA: OperandName = '', nameOfB: OperandName = ''): number {
  return typeof a === 'number' && typeof b === 'number' ? a / b : operand(a, nameOfA) / operand(b, nameOfB);
}

export function modulo(a: LuaValue, b: LuaValue, nameOfA: OperandName = '', nameOfB: OperandName = ''): number {
  const [left, right] = [operand(a, nameOfA), operand(b, nameOfB)];
  return left - Math.floor(left / right) * right;
}

export function negate(a: LuaValue, name: OperandName = ''): number {
  return -operand(a, name);
}

function operand(value: LuaValue, name: OperandName): number {
  const number = toNumber(value);
  if (number === undefined) throw typeError('perform arithmetic on', value, name);
  return number;
}

function typeError(what: string, value: LuaValue, name: OperandName): LuaError {
  const type = typeOf(value);
  return new LuaError(`attempt to ${what} ${name === '' ? `a ${type} value` : `${name} (a ${type} value)`}`);
}

export function isLess(a: LuaValue, b: LuaValue): boolean {
  if (typeof a === 'number' && typeof b === 'number') return a < b;
  if (typeof a === 'string' && typeof b === 'string') return a < b;
  throw comparison(a, b);
}

export function isAtMost(a: LuaValue, b: LuaValue): boolean {
  if (typeof a === 'number' && typeof b === 'number') return a <= b;
  if (typeof a === 'string' && typeof b === 'string') return a <= b;
  throw comparison(a, b);
}

export function isGreater(a: LuaValue, b: LuaValue): boolean {
  return isLess(b, a);
}

export function isAtLeast(a: LuaValue, b: LuaValue): boolean {
  return isAtMost(b, a);
}

function comparison(a: LuaValue, b: LuaValue): LuaError {
  const [left, right] = [typeOf(a), typeOf(b)];
  return new LuaError(left === right ? `attempt to compare two ${left} values` : `attempt to compare ${left} with ${right}`);
}

export function concatenate(a: LuaValue, b: LuaValue, nameOfA: OperandName = '', nameOfB: OperandName = ''): string {
  return typeof a === 'string' && typeof b === 'string' ? a + b : piece(a, nameOfA) + piece(b, nameOfB);
}

function piece(value: LuaValue, name: OperandName): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number') return numberText(value, 14);
  throw typeError('concatenate', value, name);
}

export function lengthOf(value: LuaValue, name: OperandName = ''): number {
  if (typeof value === 'string') return value.length;
  if (value instanceof LuaTable) return value.length;
  throw typeError('get length of', value, name);
}

export function getIndex(table: LuaValue, key: LuaValue, name: OperandName = ''): LuaValue {
  if (table instanceof LuaTable) return table.get(key);
  if (typeof table === 'string') throw new OutsideSubset('methods of strings');
  throw typeError('index', table, name);
}

export function setIndex(table: LuaValue, key: LuaValue, value: LuaValue, name: OperandName = ''): void {
  if (!(table instanceof LuaTable)) throw typeError('index', table, name);
  table.set(key, value);
}

/** What a numeric `for` counts with. */
export function loopNumber(value: LuaValue, what: 'initial value' | 'limit' | 'step'): number {
  const number = toNumber(value);
  if (number === undefined) throw new LuaError(`'for' ${what} must be a number`);
  if (what === 'step' && number === 0) throw new OutsideSubset('a loop with the step 0');
  return number;
}
