import { LuaError, numberText, toNumber, typeOf, type LuaValue } from './lua-values.ts';

/** An argument of a library function that must be a string or a number. @throws {LuaError} as Lua words it. */
export function checkString(value: LuaValue, position: number, name: string): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number') return numberText(value, 14);
  throw badArgument(position, name, 'string', value);
}

/** An argument that must be a number, or a string that reads like one. @throws {LuaError} as Lua words it. */
export function checkNumber(value: LuaValue, position: number, name: string): number {
  const number = toNumber(value);
  if (number === undefined) throw badArgument(position, name, 'number', value);
  return number;
}

/** An argument of the wrong type. */
export function badArgument(position: number, name: string, wanted: string, value: LuaValue): LuaError {
  return argumentError(position, name, `${wanted} expected, got ${typeOf(value)}`);
}

export function argumentError(position: number, name: string, why: string): LuaError {
  return new LuaError(`bad argument #${position} to '${name}' (${why})`);
}
