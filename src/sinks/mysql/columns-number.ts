// Hot path
import type { ColumnCodec, NonNull, Refusal } from './columns.ts';

const NOT_INTEGER: Refusal = { code: 'wrong_type', reason: 'the column takes whole numbers (or their decimal digits as text)' };
const FRACTION: Refusal = { code: 'loses_precision', reason: 'the column takes whole numbers, and the value has a fraction' };
const UNSAFE: Refusal = { code: 'loses_precision', reason: 'a float beyond 2^53 does not name one integer; send an int or text' };
const BOOLEAN_KEY: Refusal = { code: 'key_not_canonical', reason: 'a key in a number column must be a number, not true or false' };

const INTEGER = /^(?:0|-?[1-9]\d{0,19})$/;

export function integerCodec(bits: 8 | 16 | 24 | 32 | 64, unsigned: boolean): ColumnCodec {
  const min = unsigned ? 0n : -(2n ** BigInt(bits - 1));
  const max = 2n ** BigInt(unsigned ? bits : bits - 1) - 1n;
  const minNumber = Number(min);
  const maxNumber = Number(max);
  const range: Refusal = { code: 'out_of_range', reason: `the column takes ${min} to ${max}` };
  return {
    check(value) {
      if (typeof value === 'number') {
        if (Number.isSafeInteger(value)) return value >= minNumber && value <= maxNumber ? undefined : range;
        return Number.isInteger(value) ? UNSAFE : FRACTION;
      }
      if (typeof value === 'bigint') return value >= min && value <= max ? undefined : range;
      if (typeof value === 'boolean') return undefined;
      if (typeof value !== 'string' || !INTEGER.test(value)) return NOT_INTEGER;
      const parsed = BigInt(value);
      return parsed >= min && parsed <= max ? undefined : range;
    },
    literal: integerText,
    checkKey: (value) => (typeof value === 'boolean' ? BOOLEAN_KEY : undefined),
    keyText: integerText,
  };
}

function integerText(value: NonNull): string {
  if (typeof value === 'boolean') return value ? '1' : '0';
  return String(value);
}

const NOT_DECIMAL: Refusal = { code: 'wrong_type', reason: 'the column takes decimal numbers, best as text such as 12.50' };
const NEGATIVE: Refusal = { code: 'out_of_range', reason: 'the column is unsigned' };

/** Sign, digits before and after the point. */
const DECIMAL = /^([+-]?)(\d*)(?:\.(\d+))?$/;
/** Literals longer than this are written without their superfluous zeros: the server reads at most 65 digits. */
const LONG_DECIMAL = 60;

export function decimalCodec(precision: number, scale: number, unsigned: boolean): ColumnCodec {
  const wholeDigits = precision - scale;
  const range: Refusal = { code: 'out_of_range', reason: `the column takes ${wholeDigits} digits before the point` };
  const loses: Refusal = { code: 'loses_precision', reason: `the column keeps ${scale} digits after the point` };
  const spelling: Refusal = {
    code: 'key_not_canonical',
    reason: `a decimal key must be written with exactly ${scale} digits after the point, without leading zeros or +`,
  };
  return {
    check(value) {
      const text = decimalText(value);
      if (text !== undefined && isPlainDecimal(text, wholeDigits, scale)) return undefined;
      const parts = text === undefined ? null : DECIMAL.exec(text);
      if (parts === null || (parts[2] === '' && parts[3] === undefined)) return NOT_DECIMAL;
      const whole = significantWhole(parts[2]);
      const fraction = significantFraction(parts[3]);
      if (unsigned && parts[1] === '-' && (whole !== '' || fraction !== '')) return NEGATIVE;
      if (whole.length > wholeDigits) return range;
      return fraction.length > scale ? loses : undefined;
    },
    literal(value) {
      const text = decimalText(value) as string;
      return text.length <= LONG_DECIMAL ? text : canonicalDecimal(text, scale);
    },
    checkKey: (value) => (decimalText(value) === canonicalDecimal(decimalText(value) as string, scale) ? undefined : spelling),
    keyText: (value) => decimalText(value) as string,
  };
}

/** Whether it is all digits, with or without a point, and no more of them on either side than the column has. Others may fit too. */
function isPlainDecimal(text: string, wholeDigits: number, scale: number): boolean {
  const { length } = text;
  let point = length;
  for (let i = 0; i < length; i++) {
    const code = text.charCodeAt(i);
    if (code >= DIGIT_0 && code <= DIGIT_9) continue;
    if (code !== POINT || point < length) return false;
    point = i;
  }
  const fraction = length - point - 1;
  return point > 0 && point <= wholeDigits && fraction !== 0 && fraction <= scale;
}

const DIGIT_0 = 0x30;
const DIGIT_9 = 0x39;
const POINT = 0x2e;

/** The value as digits, without an exponent; undefined when it is no number. */
function decimalText(value: NonNull): string | undefined {
  if (typeof value === 'string') return value;
  if (typeof value === 'bigint') return String(value);
  if (typeof value !== 'number') return undefined;
  const text = String(value);
  return text.includes('e') ? withoutExponent(text) : text;
}

function withoutExponent(text: string): string {
  const [, sign, whole, fraction, exponent] = /^(-?)(\d+)(?:\.(\d+))?e([+-]\d+)$/.exec(text) ?? [];
  if (whole === undefined) return text;
  const digits = whole + (fraction ?? '');
  const point = whole.length + Number(exponent);
  if (point <= 0) return `${sign}0.${'0'.repeat(-point)}${digits}`;
  return point >= digits.length ? `${sign}${digits.padEnd(point, '0')}` : `${sign}${digits.slice(0, point)}.${digits.slice(point)}`;
}

/** As the database prints it. */
function canonicalDecimal(text: string, scale: number): string {
  const parts = DECIMAL.exec(text);
  const whole = significantWhole(parts?.[2]);
  const fraction = significantFraction(parts?.[3]);
  const sign = parts?.[1] === '-' && (whole !== '' || fraction !== '') ? '-' : '';
  return `${sign}${whole === '' ? '0' : whole}${scale === 0 ? '' : `.${fraction.padEnd(scale, '0')}`}`;
}

function significantWhole(digits: string | undefined): string {
  return (digits ?? '').replace(/^0+/, '');
}

function significantFraction(digits: string | undefined): string {
  return (digits ?? '').replace(/0+$/, '');
}

const NOT_FLOAT: Refusal = { code: 'wrong_type', reason: 'the column takes numbers' };
const FLOAT_RANGE: Refusal = { code: 'out_of_range', reason: 'the number is too large for the column' };
const NOT_EXACT: Refusal = { code: 'loses_precision', reason: 'the integer has more digits than a float keeps' };
const FLOAT_KEY: Refusal = { code: 'key_not_canonical', reason: 'a float column cannot be part of a key' };
const FLOAT_TEXT = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,4})?$/;

/** FLOAT keeps about 7 digits and takes the nearest value, as everywhere; DOUBLE keeps every bit of a float. */
export function floatCodec(width: 'single' | 'double', unsigned: boolean): ColumnCodec {
  return {
    check(value) {
      if (typeof value === 'string' && !FLOAT_TEXT.test(value)) return NOT_FLOAT;
      if (typeof value !== 'number' && typeof value !== 'string' && typeof value !== 'bigint') return NOT_FLOAT;
      const number = Number(value);
      if (!Number.isFinite(width === 'single' ? Math.fround(number) : number)) return Number.isNaN(number) ? NOT_FLOAT : FLOAT_RANGE;
      if (unsigned && number < 0) return NEGATIVE;
      return typeof value === 'bigint' && BigInt(number) !== value ? NOT_EXACT : undefined;
    },
    literal(value) {
      const number = Number(value);
      if (Object.is(number, -0)) return '-0e0';
      const text = String(number);
      // The exponent makes it a float for the server; without one it would be a decimal first.
      return text.includes('e') ? text : `${text}e0`;
    },
    checkKey: () => FLOAT_KEY,
    keyText: String,
  };
}

const NOT_BITS: Refusal = { code: 'wrong_type', reason: 'the column takes an unsigned integer, true or false, or bytes' };
const BITS_KEY: Refusal = { code: 'key_not_canonical', reason: 'a key in a BIT column must be an integer' };

/** Takes integers, booleans, or bytes with the most significant bit first. */
export function bitCodec(bits: number): ColumnCodec {
  const limit = 2n ** BigInt(bits);
  const range: Refusal = { code: 'out_of_range', reason: `the column takes ${bits} bits` };
  return {
    check(value) {
      if (typeof value === 'number' && !Number.isSafeInteger(value)) return NOT_BITS;
      if (value instanceof Uint8Array && value.length > 8) return range;
      const number = bitsOf(value);
      if (number === undefined) return NOT_BITS;
      return number >= 0n && number < limit ? undefined : range;
    },
    literal: (value) => String(bitsOf(value)),
    checkKey: (value) => (typeof value === 'number' || typeof value === 'bigint' ? undefined : BITS_KEY),
    keyText: String,
  };
}

function bitsOf(value: NonNull): bigint | undefined {
  if (typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean') return BigInt(value);
  if (!(value instanceof Uint8Array)) return undefined;
  let number = 0n;
  for (const byte of value) number = (number << 8n) | BigInt(byte);
  return number;
}

const YEAR_RANGE: Refusal = { code: 'out_of_range', reason: 'the column takes the years 1901 to 2155' };
const NOT_YEAR: Refusal = { code: 'wrong_type', reason: 'the column takes a year of four digits' };

export const yearCodec: ColumnCodec = {
  check(value) {
    if (typeof value === 'string' ? !/^\d{4}$/.test(value) : !Number.isSafeInteger(value) && typeof value !== 'bigint') return NOT_YEAR;
    const year = Number(value);
    return year >= 1901 && year <= 2155 ? undefined : YEAR_RANGE;
  },
  literal: String,
  checkKey: () => undefined,
  keyText: String,
};
