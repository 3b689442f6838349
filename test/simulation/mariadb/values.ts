/** A value of a column. Whole numbers are bigints only beyond 2^53; points in time are text as the server prints it. */
export type SqlValue = null | number | bigint | string | Buffer;

/** The values of one row in the order of the table's columns. */
export type Row = readonly SqlValue[];

/** What can be compared with what, and how a value leaves the server. */
export interface ValueType {
  readonly kind: 'integer' | 'double' | 'decimal' | 'text' | 'bytes' | 'datetime' | 'null';
  /** Of an integer: whether the protocol knows it as a BIGINT, which the driver gives as text. */
  readonly wide?: boolean;
  readonly collation?: Collation;
}

/** How text is compared. */
export interface Collation {
  readonly name: string;
  /** Whether spaces at the end count. */
  readonly pads: boolean;
  /** Whether case and accents do not. */
  readonly folds: boolean;
}

/** What literals have in a session of the sink. */
export const CONNECTION_COLLATION: Collation = { name: 'utf8mb4_bin', pads: true, folds: false };

export function collationOf(name: string): Collation {
  const known = /^utf8mb4_(?:general_|unicode_)?(?:nopad_)?(bin|ci)$/.exec(name);
  if (known === null) throw new Error(`collation ${name} is not simulated`);
  return { name, pads: !name.includes('nopad'), folds: known[1] === 'ci' };
}

/** Text that is equal for texts that the collation takes for equal. */
export function collationKey(text: string, { name, pads, folds }: Collation): string {
  let key = text;
  if (folds) {
    if (/[^\0-\x7f]/.test(text)) throw new Error(`text beyond ASCII is compared under ${name}, which is not simulated`);
    key = key.toUpperCase();
  }
  return pads && key.endsWith(' ') ? key.replace(/ +$/, '') : key;
}

/** A string that is the same for values that are equal in a column of the type. */
export function keyText(value: Exclude<SqlValue, null>, type: ValueType): string {
  if (type.kind === 'text') return collationKey(String(value), type.collation ?? CONNECTION_COLLATION);
  if (Buffer.isBuffer(value)) return value.toString('latin1');
  return type.kind === 'datetime' ? fullDatetime(String(value)) : String(value);
}

/** The order of two values that are not null. */
export function compareValues(a: Exclude<SqlValue, null>, b: Exclude<SqlValue, null>, type: ValueType): number {
  switch (type.kind) {
    case 'text':
      return compareText(String(a), String(b), type.collation ?? CONNECTION_COLLATION);
    case 'bytes':
      return Buffer.compare(bytesOf(a), bytesOf(b));
    case 'datetime':
      return order(fullDatetime(String(a)), fullDatetime(String(b)));
    case 'integer':
    case 'double':
    case 'decimal':
    case 'null':
      return order(a as number | bigint, b as number | bigint);
  }
}

function order<T extends string | number | bigint>(a: T, b: T): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

const BEYOND_BMP = /[\ud800-\udfff]/;

function compareText(a: string, b: string, collation: Collation): number {
  let [left, right] = [collationKey(a, collation), collationKey(b, collation)];
  if (collation.pads && left.length !== right.length) {
    const length = Math.max(left.length, right.length);
    [left, right] = [left.padEnd(length, ' '), right.padEnd(length, ' ')];
  }
  // JavaScript compares UTF-16, whose surrogates stand before some characters that are smaller.
  if (BEYOND_BMP.test(left) || BEYOND_BMP.test(right)) return Buffer.compare(Buffer.from(left), Buffer.from(right));
  return order(left, right);
}

export function bytesOf(value: Exclude<SqlValue, null>): Buffer {
  return Buffer.isBuffer(value) ? value : Buffer.from(String(value));
}

/** `2026-11-21 09:30:00.5` with all six digits of the fraction, so that text order is the order of time. */
export function fullDatetime(text: string): string {
  return text.length === 19 ? `${text}.000000` : text.padEnd(26, '0');
}

const DATETIME = /^(\d{4})-(\d\d)-(\d\d)(?:[ T](\d\d):(\d\d):(\d\d)(?:\.(\d{0,6})\d*)?)?$/;

/** A point in time as a column of `digits` keeps it, which drops further digits; undefined when it is none. */
export function parseDatetime(text: string, digits: number): string | undefined {
  const parts = DATETIME.exec(text);
  if (parts === null) return undefined;
  const [, year, month, day, hour = '00', minute = '00', second = '00', fraction = ''] = parts;
  const date = new Date(0);
  date.setUTCFullYear(Number(year), Number(month) - 1, Number(day));
  if (date.getUTCMonth() + 1 !== Number(month) || date.getUTCDate() !== Number(day) || Number(year) === 0) return undefined;
  if (Number(hour) > 23 || Number(minute) > 59 || Number(second) > 59) return undefined;
  const rest = digits === 0 ? '' : `.${fraction.padEnd(digits, '0').slice(0, digits)}`;
  return `${year}-${month}-${day} ${hour}:${minute}:${second}${rest}`;
}
