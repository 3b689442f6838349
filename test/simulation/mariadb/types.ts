import type { ColumnClause } from './sql/ast.ts';
import { SqlError } from './sql-error.ts';
import { collationOf, parseDatetime, type SqlValue, type ValueType } from './values.ts';

/** The type of a column: what it takes, and what `information_schema` says of it. */
export interface ColumnType extends ValueType {
  /** Lower case: `varchar`. */
  readonly name: string;
  /** `varchar(20)`, `bigint(20) unsigned`. */
  readonly declared: string;
  readonly min: bigint;
  readonly max: bigint;
  readonly maxCharacters: number | null;
  readonly maxBytes: number | null;
  readonly precision: number | null;
  readonly scale: number | null;
  readonly fractionDigits: number | null;
  readonly members: readonly string[];
}

const BASE = {
  min: 0n,
  max: 0n,
  maxCharacters: null,
  maxBytes: null,
  precision: null,
  scale: null,
  fractionDigits: null,
  members: [],
};

/** Bits, digits that are shown when signed and unsigned, and digits of precision. */
const INTEGERS: Readonly<Record<string, readonly [bits: number, shown: number, shownUnsigned: number, precision: number]>> = {
  tinyint: [8, 4, 3, 3],
  smallint: [16, 6, 5, 5],
  mediumint: [24, 9, 8, 7],
  int: [32, 11, 10, 10],
  bigint: [64, 20, 20, 19],
};

const TEXT_BYTES: Readonly<Record<string, number>> = { tiny: 255, '': 65_535, medium: 16_777_215, long: 4_294_967_295 };
const CHARACTER_BYTES = 4;

/** Reads the type of a column; `collation` is that of the table. */
export function columnTypeOf(clause: ColumnClause, collation: string): ColumnType {
  const { sizes, unsigned } = clause;
  const type = clause.type === 'integer' ? 'int' : clause.type;
  const attribute = unsigned ? ' unsigned' : '';
  const integer = INTEGERS[type];
  if (integer !== undefined) {
    const [bits, shown, shownUnsigned, precision] = integer;
    return {
      ...BASE,
      kind: 'integer',
      name: type,
      wide: type === 'bigint',
      declared: `${type}(${sizes[0] ?? (unsigned ? shownUnsigned : shown)})${attribute}`,
      min: unsigned ? 0n : -(2n ** BigInt(bits - 1)),
      max: 2n ** BigInt(unsigned ? bits : bits - 1) - 1n,
      precision: type === 'bigint' && unsigned ? 20 : precision,
      scale: 0,
    };
  }
  const [size] = sizes;
  switch (type) {
    case 'decimal': {
      const [precision = 10, scale = 0] = sizes;
      if (scale !== 0) throw new Error('decimals with a fraction are not simulated');
      const limit = 10n ** BigInt(precision) - 1n;
      return {
        ...BASE,
        kind: 'decimal',
        name: type,
        declared: `decimal(${precision},0)${attribute}`,
        min: unsigned ? 0n : -limit,
        max: limit,
        precision,
        scale,
      };
    }
    case 'double':
      return { ...BASE, kind: 'double', name: type, declared: `double${attribute}`, precision: 22 };
    case 'datetime':
      return {
        ...BASE,
        kind: 'datetime',
        name: type,
        declared: size === undefined ? 'datetime' : `datetime(${size})`,
        fractionDigits: size ?? 0,
      };
    case 'char':
    case 'varchar': {
      const maxCharacters = size ?? 1;
      return {
        ...text(clause, collation),
        name: type,
        declared: `${type}(${maxCharacters})`,
        maxCharacters,
        maxBytes: maxCharacters * CHARACTER_BYTES,
      };
    }
    case 'binary':
    case 'varbinary': {
      const bytes = size ?? 1;
      return { ...BASE, kind: 'bytes', name: type, declared: `${type}(${bytes})`, maxCharacters: bytes, maxBytes: bytes };
    }
    case 'enum': {
      const longest = Math.max(...clause.members.map((member) => member.length));
      return {
        ...text(clause, collation),
        name: type,
        declared: `enum(${clause.members.map((member) => `'${member.replaceAll("'", "''")}'`).join(',')})`,
        members: clause.members,
        maxCharacters: longest,
        maxBytes: longest * CHARACTER_BYTES,
      };
    }
    case 'json':
      return { ...text({ ...clause, collation: 'utf8mb4_bin' }, collation), name: 'longtext', declared: 'longtext', ...large('long') };
    default: {
      const [, prefix, family] = /^(tiny|medium|long|)(text|blob)$/.exec(type) ?? [];
      if (prefix === undefined) throw new Error(`columns of type ${type} are not simulated`);
      if (family === 'blob') return { ...BASE, kind: 'bytes', name: type, declared: type, ...large(prefix) };
      return { ...text(clause, collation), name: type, declared: type, ...large(prefix) };
    }
  }
}

function text(clause: ColumnClause, collation: string) {
  return { ...BASE, kind: 'text' as const, collation: collationOf(clause.collation ?? collation) };
}

function large(prefix: string) {
  return { maxCharacters: TEXT_BYTES[prefix] as number, maxBytes: TEXT_BYTES[prefix] as number };
}

/**
 * A value as the column stores it, in strict mode. `place` names the column for the messages.
 * @throws {SqlError} when the column does not take it.
 */
export function stored(value: Exclude<SqlValue, null>, type: ColumnType, column: string, place: string): SqlValue {
  switch (type.kind) {
    case 'integer':
    case 'decimal':
      return storedInteger(value, type, column, place);
    case 'double':
      return storedDouble(value, column, place);
    case 'datetime': {
      const point = typeof value === 'string' ? parseDatetime(value, type.fractionDigits ?? 0) : undefined;
      if (point === undefined) throw incorrect(1292, 'datetime', value, place);
      return point;
    }
    case 'bytes': {
      const bytes = Buffer.isBuffer(value) ? value : Buffer.from(String(value));
      if (bytes.length > (type.maxBytes ?? 0)) throw tooLong(column);
      if (type.name !== 'binary' || bytes.length === type.maxBytes) return bytes;
      return Buffer.concat([bytes], type.maxBytes as number);
    }
    case 'text':
    case 'null':
      return storedText(value, type, column, place);
  }
}

function storedInteger(value: Exclude<SqlValue, null>, type: ColumnType, column: string, place: string): SqlValue {
  let whole: bigint;
  if (typeof value === 'bigint') whole = value;
  else if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw outOfRange(column);
    whole = BigInt(roundedToEven(value));
  } else {
    const text = Buffer.isBuffer(value) ? '' : value;
    if (text !== text.trim()) throw new Error('a number with spaces around it is not simulated');
    if (Buffer.isBuffer(value) || !/^[+-]?\d+$/.test(text)) {
      if (/^[+-]?\d/.test(text)) throw truncated(column);
      throw incorrect(1366, type.kind, value, place);
    }
    whole = BigInt(text);
  }
  if (whole < type.min || whole > type.max) throw outOfRange(column);
  const number = Number(whole);
  return Number.isSafeInteger(number) ? number : whole;
}

function roundedToEven(value: number): number {
  const rounded = Math.round(value);
  return Math.abs(value % 1) === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}

function storedDouble(value: Exclude<SqlValue, null>, column: string, place: string): number {
  if (typeof value === 'string' && !/^\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?\s*$/i.test(value))
    throw incorrect(1366, 'double', value, place);
  const number = Number(value);
  if (!Number.isFinite(number)) throw outOfRange(column);
  return number;
}

function storedText(value: Exclude<SqlValue, null>, type: ColumnType, column: string, place: string): string {
  const text = Buffer.isBuffer(value) ? value.toString('utf8') : String(value);
  if (Buffer.isBuffer(value) && !Buffer.from(text).equals(value)) throw incorrect(1366, 'string', value, place);
  if (type.name === 'enum') {
    if (!type.members.includes(text)) throw truncated(column);
    return text;
  }
  const isLimitedByCharacters = type.name === 'char' || type.name === 'varchar';
  const length = isLimitedByCharacters ? charactersOf(text) : Buffer.byteLength(text);
  if (length > ((isLimitedByCharacters ? type.maxCharacters : type.maxBytes) ?? 0)) {
    // MariaDB cuts off spaces.
    if (text.endsWith(' ')) throw new Error('text that is too long and ends in spaces is not simulated');
    throw tooLong(column);
  }
  return type.name === 'char' ? text.replace(/ +$/, '') : text;
}

function charactersOf(text: string): number {
  return text.length - (text.match(/[\udc00-\udfff]/g)?.length ?? 0);
}

const outOfRange = (column: string) => new SqlError(1264, '22003', `Out of range value for column '${column}' at row 1`);
const tooLong = (column: string) => new SqlError(1406, '22001', `Data too long for column '${column}' at row 1`);
const truncated = (column: string) => new SqlError(1265, '01000', `Data truncated for column '${column}' at row 1`);

function incorrect(errno: number, kind: string, value: Exclude<SqlValue, null>, place: string): SqlError {
  const shown = Buffer.isBuffer(value)
    ? value.toString('latin1').replace(/[^ -~]/g, (byte) => `\\x${byte.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`)
    : String(value);
  return new SqlError(errno, '22007', `Incorrect ${kind} value: '${shown.slice(0, 64)}' for column ${place} at row 1`);
}
