/**
 * Pieces of SQL text. They hold for the session that `connection.ts` sets up: utf8mb4, backslash escapes on, double
 * quotes not identifiers, UTC.
 */

/** Every table that Syncline keeps in the database begins with this; no change may touch them. */
export const OWN_PREFIX = 'syncline_';

/** A name as an identifier; dots and quotes in it mean nothing. */
export function quoteName(name: string): string {
  if (name.includes('\0')) throw new Error('an identifier with a NUL byte was about to be written');
  return `\`${name.replaceAll('`', '``')}\``;
}

export function quoteNames(names: readonly string[]): string {
  return names.map(quoteName).join(',');
}

const SPECIAL = /['\\\0]/;
const SPECIALS = /['\\\0]/g;

/** A string literal. The string must be well-formed: the driver would replace a lone surrogate. */
export function textLiteral(text: string): string {
  return SPECIAL.test(text) ? `'${text.replace(SPECIALS, escapeSpecial)}'` : `'${text}'`;
}

function escapeSpecial(character: string): string {
  if (character === '\0') return '\\0';
  return character === "'" ? "''" : '\\\\';
}

export function bytesLiteral(bytes: Uint8Array): string {
  return `x'${(Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)).toString('hex')}'`;
}

/** A stream id (32 hex digits) as BINARY(16). */
export function streamLiteral(stream: string): string {
  if (!/^[0-9a-f]{32}$/.test(stream)) throw new Error('a stream id is not 32 lower-case hex digits');
  return `x'${stream}'`;
}

/** A whole number that was checked to be one. */
export function intLiteral(value: number): string {
  if (!Number.isSafeInteger(value)) throw new Error(`${value} is not a safe integer`);
  return String(value);
}

/** A point of the wall clock as DATETIME(3) in UTC. */
export function instantLiteral(wallMs: number): string {
  return `'${new Date(wallMs).toISOString().slice(0, 23).replace('T', ' ')}'`;
}
