import { argumentError, badArgument, checkNumber, checkString } from './lua-arguments.ts';
import { translatePattern } from './lua-patterns.ts';
import { structPack, structUnpack } from './lua-struct.ts';
import { LuaError, LuaTable, numberText, OutsideSubset, toNumber, typeOf, type LuaValue } from './lua-values.ts';

/** A function that scripts may call; of those in {@link MULTIPLE}, all results count. */
type LibraryFunction = (...args: LuaValue[]) => LuaValue | LuaValue[];

/** The library functions that scripts use, by the name that they are called by. `redis.call`, `pairs` and `ipairs` are built in. */
export const LIBRARY: Readonly<Record<string, LibraryFunction>> = {
  'redis.error_reply': (message) => new LuaTable().with('err', errorText(message)),
  'string.char': (...codes) => String.fromCharCode(...codes.map(charCode)),
  'string.format': format,
  'string.match': match,
  'string.sub': sub,
  'struct.pack': structPack,
  'struct.unpack': structUnpack,
  'table.concat': concat,
  'math.floor': (value) => Math.floor(checkNumber(value, 1, 'floor')),
  'math.max': (...values) => values.map((value, i) => checkNumber(value, i + 1, 'max')).reduce((a, b) => (b > a ? b : a)),
  'math.min': (...values) => values.map((value, i) => checkNumber(value, i + 1, 'min')).reduce((a, b) => (b < a ? b : a)),
  tonumber: (value) => toNumber(value),
  unpack,
};

/** Those that return an array: all their results. */
export const MULTIPLE: ReadonlySet<string> = new Set(['string.match', 'struct.unpack', 'unpack']);

/** Lua's stack holds 8000 values, of which a script's own take a few. */
const MAX_UNPACKED = 7900;

function errorText(message: LuaValue): string {
  if (typeof message !== 'string') throw new OutsideSubset('redis.error_reply of anything but a string');
  // Redis takes it for a C string.
  const text = message.replace(/^-|\0[^]*$/g, '');
  // Without a code of its own it gets the general one.
  return text.includes(' ') ? text : `ERR ${text}`;
}

function charCode(value: LuaValue, index: number): number {
  const code = Math.trunc(checkNumber(value, index + 1, 'char'));
  if (!(code >= 0 && code <= 255)) throw argumentError(index + 1, 'char', 'invalid value');
  return code;
}

function sub(value: LuaValue, from: LuaValue, to: LuaValue): string {
  const text = checkString(value, 1, 'sub');
  let start = Math.trunc(checkNumber(from, 2, 'sub'));
  let end = to === undefined ? -1 : Math.trunc(checkNumber(to, 3, 'sub'));
  if (start < 0) start += text.length + 1;
  if (end < 0) end += text.length + 1;
  return text.slice(Math.max(start, 1) - 1, Math.max(end, 0));
}

function match(value: LuaValue, pattern: LuaValue): LuaValue[] {
  const found = translatePattern(checkString(pattern, 2, 'match')).exec(checkString(value, 1, 'match'));
  if (found === null) return [undefined];
  return found.length === 1 ? [found[0]] : found.slice(1);
}

/** Templates in pieces: scripts have few. */
const templates = new Map<string, readonly string[]>();
const MAX_TEMPLATES = 1_000;

/** Text and items of a template in turn. */
function piecesOf(template: string): readonly string[] {
  let pieces = templates.get(template);
  if (pieces === undefined) {
    if (templates.size >= MAX_TEMPLATES) templates.clear();
    templates.set(template, (pieces = template.split(/(%(?:\.0f|s|.?.?.?))/)));
  }
  return pieces;
}

function format(template: LuaValue, ...values: LuaValue[]): string {
  const pieces = piecesOf(checkString(template, 1, 'format'));
  let text = pieces[0]!;
  for (let i = 1, at = 0; i < pieces.length; i += 2, at++) {
    const item = pieces[i]!;
    if (item === '%s') text += cutAtZero(checkString(values[at], at + 2, 'format'));
    else if (item === '%.0f') text += wholeText(checkNumber(values[at], at + 2, 'format'));
    else throw new OutsideSubset(`string.format with ${item}`);
    text += pieces[i + 1]!;
  }
  return text;
}

/** Lua hands a short string to C's printf, which ends it at its first zero byte. */
function cutAtZero(text: string): string {
  const zero = text.indexOf('\0');
  return zero < 0 || text.length >= 100 ? text : text.slice(0, zero);
}

function wholeText(value: number): string {
  if (Number.isSafeInteger(value)) return numberText(value, 17);
  if (!Number.isFinite(value)) throw new OutsideSubset(`string.format of ${value}`);
  if (Math.abs(value) >= 2 ** 53) return String(BigInt(value));
  // C rounds a half to the even neighbour.
  const floor = Math.floor(value);
  const rounded = value - floor === 0.5 ? floor + (floor % 2 === 0 ? 0 : 1) : Math.round(value);
  return Object.is(rounded, -0) || (rounded === 0 && value < 0) ? '-0' : String(rounded);
}

function concat(table: LuaValue, separator: LuaValue = ''): string {
  if (!(table instanceof LuaTable)) throw badArgument(1, 'concat', 'table', table);
  if (table.length === 0) return '';
  return table.list
    .map((value, i) => {
      if (typeof value === 'string') return value;
      if (typeof value === 'number') return numberText(value, 14);
      throw new LuaError(`invalid value (${typeOf(value)}) at index ${i + 1} in table for 'concat'`);
    })
    .join(checkString(separator, 2, 'concat'));
}

function unpack(table: LuaValue): LuaValue[] {
  if (!(table instanceof LuaTable)) throw badArgument(1, 'unpack', 'table', table);
  if (table.length > MAX_UNPACKED) throw new LuaError('too many results to unpack');
  return table.list;
}
