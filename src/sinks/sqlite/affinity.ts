/**
 * What a column does to values, from the way it was declared.
 *
 * SQLite converts on the way in by the affinity of the declared type (https://sqlite.org/datatype3.html), which its own
 * words decide: `DATETIME`, `JSON` and `STRING` all have NUMERIC affinity. Whoever wrote `DECIMAL` meant numbers and
 * whoever wrote `DATETIME` did not, so NUMERIC is split in two:
 * - `integer`, `real`, `text`: the affinities of these names.
 * - `number`: NUMERIC affinity under a name that means numbers.
 * - `free`: NUMERIC affinity under any other name; everything is kept unless it looks like a number.
 * - `any`: no conversion: BLOB affinity, no type at all, `ANY` of a STRICT table.
 * - `integerOnly`, `bytes`: `INTEGER` and `BLOB` of a STRICT table, which take nothing else.
 */
export type ColumnKind = 'integer' | 'real' | 'text' | 'number' | 'free' | 'any' | 'integerOnly' | 'bytes';

/** The kind of a column declared as `type` in a table that is STRICT or not. */
export function columnKind(type: string, strict: boolean): ColumnKind {
  const upper = type.toUpperCase();
  if (strict) return STRICT_KINDS.get(upper) ?? 'any';
  if (upper.includes('INT')) return 'integer';
  if (upper.includes('CHAR') || upper.includes('CLOB') || upper.includes('TEXT')) return 'text';
  if (upper === '' || upper.includes('BLOB')) return 'any';
  if (upper.includes('REAL') || upper.includes('FLOA') || upper.includes('DOUB')) return 'real';
  return NUMBER_WORDS.test(upper) ? 'number' : 'free';
}

const STRICT_KINDS: ReadonlyMap<string, ColumnKind> = new Map([
  ['INT', 'integerOnly'],
  ['INTEGER', 'integerOnly'],
  ['REAL', 'real'],
  ['TEXT', 'text'],
  ['BLOB', 'bytes'],
  ['ANY', 'any'],
]);

const NUMBER_WORDS = /^(NUM|DEC|MONEY|CURRENCY|FIXED|BOOL|BIT\b|YEAR|SERIAL)/;

/**
 * What becomes of text in a column that prefers numbers:
 * - `text`: it stays text, because it does not look like a number.
 * - `same`: it becomes a number whose usual spelling is this very text.
 * - `equal`: it becomes an equal number that is spelt otherwise (`12.50`).
 * - `long`: it becomes a number with fewer digits.
 * - `odd`: it becomes a number although it may not have been meant as one (`007`, `1e5`, ` 12`).
 */
export type NumberText = 'text' | 'same' | 'equal' | 'long' | 'odd';

/** Judges `text` for a column that stores integers in 64 bits and fractions as doubles. */
export function numberText(text: string): NumberText {
  const plain = PLAIN.exec(text);
  if (plain === null) return LOOKS_NUMERIC.test(text) ? 'odd' : 'text';
  const fraction = plain[2];
  if (fraction === undefined) return wholeText(text);
  const digits = (plain[1] as string) + fraction.replace(/0+$/, '');
  const significant = digits.replace(/^0+/, '');
  const number = Number(text);
  if (significant.length > SAFE_DIGITS || (significant !== '' && Math.abs(number) < SMALLEST_EXACT)) return 'long';
  return String(number) === text && number !== 0 ? 'same' : 'equal';
}

/** Whether `text`, which {@link numberText} found to be a number, is whole. */
export function isWhole(text: string): boolean {
  return !text.includes('.');
}

function wholeText(text: string): NumberText {
  if (text === '-0') return 'equal';
  if (text.length <= 18) return 'same';
  return text.length <= 20 && fitsInt64(BigInt(text)) ? 'same' : 'long';
}

export function fitsInt64(value: bigint): boolean {
  return BigInt.asIntN(64, value) === value;
}

const PLAIN = /^-?(0|[1-9][0-9]*)(?:\.([0-9]+))?$/;
// A NUL ends the text where SQLite looks for a number: '12\0x' becomes 12.
const LOOKS_NUMERIC = /^[ \t\n\v\f\r]*[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[ \t\n\v\f\r]*(?:\0|$)/;
/** Decimal digits that a double always gives back. */
const SAFE_DIGITS = 15;
/** Below it doubles lose digits. */
const SMALLEST_EXACT = 1e-300;
