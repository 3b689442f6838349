// Hot path
import type { ErrorCode } from '../../core/errors.ts';
import type { Value } from '../../core/change.ts';
import { bitCodec, decimalCodec, floatCodec, integerCodec, yearCodec } from './columns-number.ts';
import { binaryCodec, enumCodec, inet4Codec, inet6Codec, jsonCodec, setCodec, textCodec, uuidCodec } from './columns-text.ts';
import { dateCodec, datetimeCodec, timeCodec, timestampCodec } from './columns-time.ts';

/** A column as `information_schema` describes it. */
export interface ColumnDefinition {
  readonly name: string;
  /** Type without length and attributes, lower case: `varchar`. `json` also for MariaDB's alias of it. */
  readonly type: string;
  /** Type as declared: `varchar(20)`, `bigint(20) unsigned`, `enum('a','b')`. */
  readonly declared: string;
  readonly nullable: boolean;
  /** Whether a row can be inserted without naming the column. */
  readonly optional: boolean;
  readonly generated: boolean;
  readonly maxCharacters: number | undefined;
  readonly maxBytes: number | undefined;
  readonly precision: number | undefined;
  readonly scale: number | undefined;
  /** Digits of a second's fraction. */
  readonly fractionDigits: number;
  readonly charset: string | undefined;
  readonly collation: string | undefined;
}

export type NonNull = Exclude<Value, null>;

/** Why a column cannot hold a value; `reason` completes "table.column: …" and never holds the value. */
export interface Refusal {
  readonly code: ErrorCode;
  readonly reason: string;
}

/**
 * What one column can hold and how it is written in SQL. Made once per column, so that a row costs one call per value.
 * No value is ever rounded, cut or guessed: what the column cannot keep exactly is refused.
 */
export interface ColumnCodec {
  check(value: NonNull): Refusal | undefined;
  /** The SQL literal of a value that passed {@link check}. Literals of one column all have one SQL type. */
  literal(value: NonNull): string;
  /**
   * Why a value that passed {@link check} cannot be part of a key: the database would take another spelling of it for
   * the same row. Values that pass have equal {@link keyText} exactly when they are equal in the database.
   */
  checkKey(value: NonNull): Refusal | undefined;
  keyText(value: NonNull): string;
}

/** The codec for a column; columns of unknown types refuse everything but null. */
export function codecOf(column: ColumnDefinition): ColumnCodec {
  const unsigned = / unsigned/.test(column.declared);
  switch (column.type) {
    case 'tinyint':
      return integerCodec(8, unsigned);
    case 'smallint':
      return integerCodec(16, unsigned);
    case 'mediumint':
      return integerCodec(24, unsigned);
    case 'int':
      return integerCodec(32, unsigned);
    case 'bigint':
      return integerCodec(64, unsigned);
    case 'decimal':
      return decimalCodec(column.precision ?? 10, column.scale ?? 0, unsigned);
    case 'float':
      return floatCodec('single', unsigned);
    case 'double':
      return floatCodec('double', unsigned);
    case 'bit':
      return bitCodec(column.precision ?? 1);
    case 'year':
      return yearCodec;
    case 'date':
      return dateCodec;
    case 'datetime':
      return datetimeCodec(column.fractionDigits);
    case 'timestamp':
      return timestampCodec(column.fractionDigits);
    case 'time':
      return timeCodec(column.fractionDigits);
    case 'char':
    case 'varchar':
      return textCodec(column.charset, column.collation, { characters: column.maxCharacters ?? 0 });
    case 'tinytext':
    case 'text':
    case 'mediumtext':
    case 'longtext':
      return textCodec(column.charset, column.collation, { bytes: column.maxBytes ?? 0 });
    case 'binary':
      return binaryCodec(column.maxBytes ?? 0, 'fixed');
    case 'varbinary':
    case 'tinyblob':
    case 'blob':
    case 'mediumblob':
    case 'longblob':
      return binaryCodec(column.maxBytes ?? 0, 'variable');
    case 'json':
      return jsonCodec;
    case 'enum':
      return enumCodec(membersOf(column.declared));
    case 'set':
      return setCodec(membersOf(column.declared));
    case 'uuid':
      return uuidCodec;
    case 'inet4':
      return inet4Codec;
    case 'inet6':
      return inet6Codec;
    default:
      return unsupportedCodec(column.type);
  }
}

function unsupportedCodec(type: string): ColumnCodec {
  const refusal: Refusal = { code: 'wrong_type', reason: `columns of type ${type} are not supported` };
  return {
    check: () => refusal,
    literal: () => {
      throw new Error(`a value for a column of type ${type} was not checked`);
    },
    checkKey: () => refusal,
    keyText: () => '',
  };
}

/** The members of `enum('a','it''s')`; the server quotes with doubled quotes and, on MySQL, backslashes as they are. */
function membersOf(declared: string): string[] {
  const members: string[] = [];
  for (const [, member] of declared.matchAll(/'((?:[^']|'')*)'/g)) members.push((member ?? '').replaceAll("''", "'"));
  return members;
}
