// Hot path
import { isIPv4, isIPv6 } from 'node:net';
import { Timestamp, type Value } from '../../core/change.ts';
import { jsonText } from '../json.ts';
import type { ColumnCodec, NonNull, Refusal } from './columns.ts';
import { bytesLiteral, textLiteral } from './sql.ts';

const NOT_TEXT: Refusal = { code: 'wrong_type', reason: 'the column takes text (or an integer, which is written in decimal)' };
const LONE_SURROGATE: Refusal = { code: 'wrong_type', reason: 'the text has half a surrogate pair' };

/** CHAR and VARCHAR count characters, the TEXT types bytes. */
export type TextLimit = { readonly characters: number } | { readonly bytes: number };

export function textCodec(charset: string | undefined, collation: string | undefined, limit: TextLimit): ColumnCodec {
  const tooLong: Refusal = {
    code: 'too_long',
    reason: 'characters' in limit ? `the column takes ${limit.characters} characters` : `the column takes ${limit.bytes} bytes`,
  };
  const unencodable: Refusal = {
    code: 'wrong_type',
    reason: `the text has characters that ${charset} does not have; utf8mb4 has them all`,
  };
  const beyond = charset === undefined ? undefined : BEYOND_CHARSET[charset];
  const fits =
    'characters' in limit
      ? (text: string) => hasAtMostCharacters(text, limit.characters)
      : (text: string) => hasAtMostBytes(text, limit.bytes);
  const keyRule = keyRuleOf(collation);
  return {
    check(value) {
      const text = typeof value === 'string' ? value : integerAsText(value);
      if (text === undefined) return NOT_TEXT;
      if (!text.isWellFormed()) return LONE_SURROGATE;
      if (beyond !== undefined && beyond.test(text)) return unencodable;
      return fits(text) ? undefined : tooLong;
    },
    literal: (value) => textLiteral(String(value)),
    checkKey: (value) => keyRule(String(value)),
    keyText: String,
  };
}

/** Characters that a charset lacks. Of charsets that are not listed the server knows, and refuses in strict mode. */
const BEYOND_CHARSET: Readonly<Record<string, RegExp>> = {
  // eslint-disable-next-line no-control-regex
  ascii: /[^\0-\x7f]/,
  // MySQL's latin1 is Windows-1252, whose five undefined bytes stand for the control characters of that number.
  // eslint-disable-next-line no-control-regex
  latin1:
    /[^\0-\x7f\x81\x8d\x8f\x90\x9d\xa0-\xff\u20ac\u201a\u0192\u201e\u2026\u2020\u2021\u02c6\u2030\u0160\u2039\u0152\u017d\u2018\u2019\u201c\u201d\u2022\u2013\u2014\u02dc\u2122\u0161\u203a\u0153\u017e\u0178]/u,
  utf8: /[\u{10000}-\u{10ffff}]/u,
  utf8mb3: /[\u{10000}-\u{10ffff}]/u,
  ucs2: /[\u{10000}-\u{10ffff}]/u,
};

function integerAsText(value: NonNull): string | undefined {
  return typeof value === 'bigint' || (typeof value === 'number' && Number.isSafeInteger(value)) ? String(value) : undefined;
}

function hasAtMostCharacters(text: string, limit: number): boolean {
  if (text.length <= limit) return true;
  if (text.length > 2 * limit) return false;
  let count = 0;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0xdc00 || unit > 0xdfff) count++;
  }
  return count <= limit;
}

function hasAtMostBytes(text: string, limit: number): boolean {
  return text.length * 3 <= limit || Buffer.byteLength(text) <= limit;
}

const TRAILING_SPACE: Refusal = {
  code: 'key_not_canonical',
  reason: 'a key in this column must not end in a space, which its collation ignores',
};

/**
 * Collations that ignore case or accents and yet keep the characters of {@link PLAIN} apart, each of them and in every
 * combination. Language collations are not among them: some take i for y, or u for v.
 */
const PLAIN_COLLATION =
  /^(?:[a-z0-9]+_)?(?:general_ci|general_nopad_ci|general_mysql500_ci|general_cs|unicode_ci|unicode_nopad_ci|unicode_520_ci|unicode_520_nopad_ci|0900_a[is]_c[is]|uca1400_(?:nopad_)?a[is]_c[is]|general1400_as_ci)$|^latin1_swedish_ci$/;
const PLAIN = /^[0-9a-z._:-]*$/;

/**
 * When text can be a key: only if the database takes no other text for it. Binary collations compare characters, and
 * some of them ignore spaces at the end. Under the others `a`, `A` and `á` may be one row, so a key there must keep to
 * digits, small ASCII letters and `._:-`, which is one spelling for each row.
 */
function keyRuleOf(collation: string | undefined): (text: string) => Refusal | undefined {
  const name = collation ?? 'none';
  if (name.endsWith('_bin')) {
    const pads = !name.includes('nopad') && !name.includes('_0900_');
    return pads ? (text) => (text.endsWith(' ') ? TRAILING_SPACE : undefined) : () => undefined;
  }
  if (PLAIN_COLLATION.test(name)) {
    const spelling: Refusal = {
      code: 'key_not_canonical',
      reason: `under collation ${name} a key may have digits, small ASCII letters and ._:- only; utf8mb4_bin allows every character`,
    };
    return (text) => (PLAIN.test(text) ? undefined : spelling);
  }
  const refusal: Refusal = {
    code: 'key_not_canonical',
    reason: `collation ${name} takes different texts for one key; give the column utf8mb4_bin`,
  };
  return () => refusal;
}

const NOT_BYTES: Refusal = { code: 'wrong_type', reason: 'the column takes bytes' };

/** BINARY(n) is filled up with zero bytes by the server, as CHAR(n) is with spaces. */
export function binaryCodec(maxBytes: number, length: 'fixed' | 'variable'): ColumnCodec {
  const tooLong: Refusal = { code: 'too_long', reason: `the column takes ${maxBytes} bytes` };
  const tooShort: Refusal = {
    code: 'key_not_canonical',
    reason: `a key in this column must have ${maxBytes} bytes, or zero bytes are added`,
  };
  return {
    check(value) {
      if (!(value instanceof Uint8Array)) return NOT_BYTES;
      return value.length <= maxBytes ? undefined : tooLong;
    },
    literal: (value) => bytesLiteral(value as Uint8Array),
    checkKey: (value) => (length === 'fixed' && (value as Uint8Array).length !== maxBytes ? tooShort : undefined),
    keyText: (value) => Buffer.from(value as Uint8Array).toString('latin1'),
  };
}

const NOT_JSON: Refusal = { code: 'wrong_type', reason: 'text for a JSON column must be JSON itself; a plain string needs quotes' };
const JSON_TIME: Refusal = { code: 'out_of_range', reason: 'a timestamp in the JSON lies outside the years 0 to 9999' };
const JSON_KEY: Refusal = { code: 'key_not_canonical', reason: 'a JSON column cannot be part of a key' };

/** Arrays, maps and other values are written as JSON; text is taken for JSON already. */
export const jsonCodec: ColumnCodec = {
  check(value) {
    if (typeof value === 'string') return isJson(value) ? undefined : NOT_JSON;
    return hasUnwritableTime(value) ? JSON_TIME : undefined;
  },
  literal: (value) => textLiteral(typeof value === 'string' ? value : jsonText(value)),
  checkKey: () => JSON_KEY,
  keyText: String,
};

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return text.isWellFormed();
  } catch {
    return false;
  }
}

/** Whether a timestamp in it lies in a year that ISO 8601 cannot write. */
function hasUnwritableTime(value: Value): boolean {
  if (value instanceof Timestamp) return value.seconds < FIRST_ISO_SECOND || value.seconds > LAST_ISO_SECOND;
  if (value === null || typeof value !== 'object' || value instanceof Uint8Array) return false;
  return Object.values(value).some(hasUnwritableTime);
}

/** The years 0 to 9999. */
const FIRST_ISO_SECOND = -62_167_219_200;
const LAST_ISO_SECOND = 253_402_300_799;

export function enumCodec(members: readonly string[]): ColumnCodec {
  const known = new Set(members);
  const refusal: Refusal = { code: 'wrong_type', reason: `the column takes ${listed(members)}` };
  return {
    check: (value) => (typeof value === 'string' && known.has(value) ? undefined : refusal),
    literal: (value) => textLiteral(value as string),
    checkKey: () => undefined,
    keyText: String,
  };
}

/** Text with the members between commas, in any order. */
export function setCodec(members: readonly string[]): ColumnCodec {
  const known = new Set(members);
  const refusal: Refusal = { code: 'wrong_type', reason: `the column takes members of ${listed(members)} between commas, each once` };
  const order: Refusal = {
    code: 'key_not_canonical',
    reason: `a key in this column must have its members in the order ${listed(members)}`,
  };
  return {
    check(value) {
      if (typeof value !== 'string') return refusal;
      if (value === '') return undefined;
      const chosen = value.split(',');
      return chosen.every((member) => known.has(member)) && new Set(chosen).size === chosen.length ? undefined : refusal;
    },
    literal: (value) => textLiteral(value as string),
    checkKey(value) {
      const places = (value as string) === '' ? [] : (value as string).split(',').map((member) => members.indexOf(member));
      return places.every((place, i) => i === 0 || (places[i - 1] as number) < place) ? undefined : order;
    },
    keyText: String,
  };
}

/** A list for a message, cut where it grows too long to read. */
function listed(members: readonly string[]): string {
  const shown = members.slice(0, 10).join(', ');
  return members.length > 10 ? `${shown}, … (${members.length} in all)` : shown;
}

const NOT_UUID: Refusal = { code: 'wrong_type', reason: 'the column takes a UUID such as 123e4567-e89b-12d3-a456-426614174000' };
const UUID_KEY: Refusal = { code: 'key_not_canonical', reason: 'a UUID key must be written in small letters' };
const NOT_ADDRESS: Refusal = { code: 'wrong_type', reason: 'the column takes an IP address of its family' };
const ADDRESS_KEY: Refusal = {
  code: 'key_not_canonical',
  reason: 'an IPv6 key must be written in its shortest form (RFC 5952), and not hold an IPv4 address',
};

export const uuidCodec: ColumnCodec = {
  check: (value) => (typeof value === 'string' && /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i.test(value) ? undefined : NOT_UUID),
  literal: (value) => `'${value as string}'`,
  checkKey: (value) => ((value as string) === (value as string).toLowerCase() ? undefined : UUID_KEY),
  keyText: String,
};

export const inet4Codec: ColumnCodec = {
  check: (value) => (typeof value === 'string' && isIPv4(value) ? undefined : NOT_ADDRESS),
  literal: (value) => `'${value as string}'`,
  checkKey: () => undefined,
  keyText: String,
};

export const inet6Codec: ColumnCodec = {
  check: (value) => (typeof value === 'string' && isIPv6(value) && !value.includes('%') ? undefined : NOT_ADDRESS),
  literal: (value) => `'${value as string}'`,
  checkKey(value) {
    const text = value as string;
    return !text.includes('.') && new URL(`http://[${text}]`).hostname === `[${text}]` && !text.startsWith('::ffff:')
      ? undefined
      : ADDRESS_KEY;
  },
  keyText: String,
};
