import type { SQLInputValue } from 'node:sqlite';
import { isoNanoseconds } from '../../core/partition.ts';
import { Timestamp, type Value } from '../../core/change.ts';
import type { ErrorCode } from '../../core/errors.ts';
import { jsonText } from '../json.ts';
import { columnKind, fitsInt64, isWhole, numberText, type ColumnKind } from './affinity.ts';

/** A column as the pragmas describe it. */
export interface ColumnInfo {
  readonly name: string;
  /** As declared; may be empty. */
  readonly type: string;
  readonly strict: boolean;
  /** NULL is refused, because it is declared so or because the key needs a value. */
  readonly notNull: boolean;
  /** A missing value is filled in: by a default, or as rowid. */
  readonly filled: boolean;
  readonly generated: boolean;
  /** Collation of the column in the index of the primary key; empty where it is no key column. */
  readonly keyCollation: string;
}

/** Why a value cannot be stored as it is. */
export interface ValueProblem {
  readonly code: ErrorCode;
  readonly reason: string;
}

/**
 * One column: which values it keeps exactly, how they are bound, and when two key values are one.
 * What the column would change on the way is refused: nothing is converted unless every digit survives.
 */
export class Column {
  readonly info: ColumnInfo;
  readonly name: string;
  readonly kind: ColumnKind;
  readonly #timestamps: boolean;

  constructor(info: ColumnInfo) {
    this.info = info;
    this.name = info.name;
    this.kind = columnKind(info.type, info.strict);
    this.#timestamps = /^(timestamp|datetime)/i.test(info.type);
  }

  get required(): boolean {
    return this.info.notNull && !this.info.filled && !this.info.generated;
  }

  get generated(): boolean {
    return this.info.generated;
  }

  /** Why `value` cannot be stored here; undefined when it can. */
  problem(value: Value): ValueProblem | undefined {
    switch (typeof value) {
      case 'string':
        return this.kind === 'text' || this.kind === 'any' ? undefined : this.#textProblem(value);
      case 'number':
        return this.#numberProblem(value);
      case 'bigint':
        return this.#bigintProblem(value);
      case 'boolean':
        return this.kind === 'text' || this.kind === 'bytes' ? this.#wrongType('a boolean') : undefined;
      default:
        return this.#objectProblem(value);
    }
  }

  /** Why `value`, which {@link problem} let pass, cannot be part of a key. */
  keyProblem(value: Value): ValueProblem | undefined {
    if (typeof value === 'string') return this.#keyTextProblem(value);
    if (typeof value === 'bigint') return undefined;
    if (typeof value === 'number')
      return Number.isSafeInteger(value) ? undefined : { code: 'wrong_type', reason: 'a fraction cannot be a key' };
    if (typeof value === 'boolean') return notCanonical('a boolean is stored as a number: send 0 or 1');
    if (value instanceof Uint8Array) return undefined;
    if (!(value instanceof Timestamp)) return { code: 'wrong_type', reason: 'an array or an object cannot be a key' };
    return this.#timestamps ? undefined : notCanonical('a timestamp is stored as text: send text, or declare the column as TIMESTAMP TEXT');
  }

  /** What is bound for `value`, which {@link problem} let pass. */
  bind(value: Value): SQLInputValue {
    switch (typeof value) {
      case 'string':
        return value;
      case 'bigint':
        if (this.kind === 'real') return Number(value);
        return this.kind === 'text' ? String(value) : value;
      case 'number':
        if (this.kind === 'text') return String(value);
        // A number is bound as a double; only columns with an affinity turn it into an integer.
        return this.kind === 'any' && Number.isSafeInteger(value) ? BigInt(value) : value;
      case 'boolean':
        return this.kind === 'any' ? BigInt(value) : Number(value);
      default:
        if (value === null || value instanceof Uint8Array) return value;
        return value instanceof Timestamp ? timestampText(value) : jsonText(value);
    }
  }

  /** Equal exactly for values of a key that SQLite takes for the same. */
  keyPart(value: Value): string {
    if (this.kind === 'text' || this.kind === 'bytes') return plainKey(value);
    if (this.kind !== 'any' && this.kind !== 'free') return String(value === 0 ? 0 : value);
    if (typeof value !== 'string')
      return value instanceof Uint8Array
        ? `b${latin1(value)}`
        : value instanceof Timestamp
          ? `t${timestampText(value)}`
          : `n${String(value === 0 ? 0 : value)}`;
    return this.kind === 'free' && numberText(value) !== 'text' ? `n${value}` : `t${value}`;
  }

  #textProblem(text: string): ValueProblem | undefined {
    if (this.kind === 'bytes') return this.#wrongType('text');
    const found = numberText(text);
    if (this.kind === 'free') {
      if (found === 'text' || found === 'same') return undefined;
      return {
        code: 'wrong_type',
        reason: `text that looks like a number would become one in a column of type ${this.info.type}: declare it as TEXT`,
      };
    }
    if (found === 'text' || found === 'odd') return this.#wrongType('text that is not a plain decimal number');
    if (this.kind === 'integerOnly' && !isWhole(text)) return this.#wrongType('a fraction');
    const asDouble = this.kind === 'real' && isWhole(text);
    if (asDouble ? text.length <= LONGEST_DOUBLE && fitsDouble(BigInt(text)) : found !== 'long') return undefined;
    if (isWhole(text) && !asDouble) return { code: 'out_of_range', reason: 'an integer beyond 64 bits: declare the column as TEXT' };
    return { code: 'loses_precision', reason: 'a decimal with more than 15 significant digits: declare the column as TEXT' };
  }

  #numberProblem(value: number): ValueProblem | undefined {
    if (this.kind === 'bytes') return this.#wrongType('a number');
    if (this.kind !== 'integerOnly') return undefined;
    if (!Number.isInteger(value)) return this.#wrongType('a fraction');
    return Math.abs(value) < 2 ** 63 ? undefined : { code: 'out_of_range', reason: 'an integer beyond 64 bits' };
  }

  #bigintProblem(value: bigint): ValueProblem | undefined {
    if (this.kind === 'text') return undefined;
    if (this.kind === 'bytes') return this.#wrongType('a number');
    if (this.kind === 'real')
      return fitsDouble(value) ? undefined : { code: 'loses_precision', reason: 'an integer that a double does not hold' };
    return fitsInt64(value) ? undefined : { code: 'out_of_range', reason: 'an integer beyond 64 bits signed: declare the column as TEXT' };
  }

  #objectProblem(value: Exclude<Value, string | number | bigint | boolean>): ValueProblem | undefined {
    if (value === null) return this.info.notNull ? { code: 'null_not_allowed', reason: 'must have a value' } : undefined;
    if (value instanceof Uint8Array)
      return this.kind === 'any' || this.kind === 'free' || this.kind === 'bytes' ? undefined : this.#wrongType('bytes');
    if (this.kind !== 'text' && this.kind !== 'any' && this.kind !== 'free')
      return this.#wrongType(value instanceof Timestamp ? 'a timestamp' : 'an array or an object');
    return hasOddYear(value) ? { code: 'out_of_range', reason: 'a timestamp outside the years 0 to 9999' } : undefined;
  }

  #keyTextProblem(text: string): ValueProblem | undefined {
    if (this.#timestamps) return notCanonical('send a timestamp, not text');
    if (this.kind === 'integer' || this.kind === 'integerOnly' || this.kind === 'real' || this.kind === 'number') {
      return numberText(text) === 'same' ? undefined : notCanonical('send a number without needless digits');
    }
    const collation = this.info.keyCollation;
    if (collation === 'NOCASE' && /[A-Z\0]/.test(text)) return notCanonical('compared without case: send lower case');
    if (collation === 'RTRIM' && text.endsWith(' ')) return notCanonical('compared without trailing spaces: send none');
    return undefined;
  }

  #wrongType(what: string): ValueProblem {
    return { code: 'wrong_type', reason: `${what} in a column of type ${this.info.type}` };
  }
}

/** UTC as `YYYY-MM-DD HH:MM:SS.ffffff`, or with nine decimals where the nanoseconds need them. */
export function timestampText(time: Timestamp): string {
  const iso = isoNanoseconds(time);
  return `${iso.slice(0, 10)} ${iso.slice(11, time.nanoseconds % 1000 === 0 ? 26 : 29)}`;
}

const FIRST_SECOND = Date.parse('0000-01-01T00:00:00Z') / 1000;
/** Digits and sign of the greatest double. */
const LONGEST_DOUBLE = 310;
const LAST_SECOND = Date.parse('9999-12-31T23:59:59Z') / 1000;

function hasOddYear(value: Value): boolean {
  if (value instanceof Timestamp) return !(value.seconds >= FIRST_SECOND && value.seconds <= LAST_SECOND);
  if (value === null || typeof value !== 'object' || value instanceof Uint8Array) return false;
  return Object.values(value).some(hasOddYear);
}

function fitsDouble(value: bigint): boolean {
  return BigInt(Number(value)) === value;
}

function notCanonical(reason: string): ValueProblem {
  return { code: 'key_not_canonical', reason };
}

function plainKey(value: Value): string {
  if (typeof value === 'string') return value;
  if (value instanceof Uint8Array) return latin1(value);
  return value instanceof Timestamp ? timestampText(value) : String(value === 0 ? 0 : value);
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}
