import type { Value } from './change.ts';

/**
 * Parses JSON without changing numbers: integers beyond ±(2^53 − 1) become `bigint`, and what neither they nor a double
 * hold exactly as it is written becomes text, the way decimals travel.
 * @throws {SyntaxError}
 */
export function parseExact(text: string): Value {
  return JSON.parse(text, hasLongNumber(text) ? revive : undefined) as Value;
}

/** False where `JSON.parse` alone keeps every number of `text` as it is. */
export function hasLongNumber(text: string): boolean {
  return LONG_NUMBER.test(text);
}

/** The exact value of a number as it is written in JSON. */
export function exactNumber(source: string): number | bigint | string {
  const value = Number(source);
  if (/^-?\d+$/.test(source)) {
    if (Number.isSafeInteger(value)) return value;
    // Making a number of millions of digits takes seconds.
    if (source.length > MAX_INTEGER_CHARACTERS) return source;
    const integer = BigInt(source);
    return integer >= MIN_INT64 && integer <= MAX_UINT64 ? integer : source;
  }
  if (String(value) === source || significantDigits(source) <= 15) return value;
  return source;
}

// Doubles keep 15 digits of whatever is written. Only such texts pay for the reviver, which makes parsing several times slower.
// A number of JSON stands at the beginning or behind one of these; in a string, digits mostly do not.
const LONG_NUMBER = /(?:^|[\s:[,-])\d[\d.]{15}/;
const MAX_INTEGER_CHARACTERS = 20;
const MIN_INT64 = -(2n ** 63n);
const MAX_UINT64 = 2n ** 64n - 1n;

function revive(_key: string, value: unknown, context?: { source?: string }): unknown {
  return typeof value === 'number' && context?.source !== undefined ? exactNumber(context.source) : value;
}

function significantDigits(source: string): number {
  return source.replace(/e.*$/i, '').replaceAll(/\D/g, '').replace(/^0+/, '').length;
}
