/** A piece of a statement. `upper` is the text of a word in upper case, and of a sign as it is; empty for everything else. */
export interface Token {
  readonly kind: 'word' | 'name' | 'number' | 'text' | 'bytes' | 'variable' | 'sign' | 'end';
  readonly text: string;
  readonly upper: string;
  readonly at: number;
}

/** A statement that the simulated server does not know. Never an answer to a client: it ends the simulation. */
export class UnsupportedSql extends Error {
  override readonly name = 'UnsupportedSql';

  constructor(reason: string, sql: string) {
    super(`the simulated MariaDB does not know this (${reason}): ${sql.length > 500 ? `${sql.slice(0, 500)}…` : sql}`);
  }
}

const SIGNS = ['<=', '>=', '<>', '!='];
const SINGLE_SIGNS = '(),.=<>+-*/%;';
const ESCAPES: Readonly<Record<string, string>> = { '0': '\0', b: '\b', n: '\n', r: '\r', t: '\t', Z: '\x1a' };

/** Cuts a statement into pieces, as a session with the settings of the sink reads it: utf8mb4, backslash escapes, no ANSI quotes. */
export function tokensOf(sql: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  const push = (kind: Token['kind'], text: string, upper: string, end: number) => {
    tokens.push({ kind, text, upper, at });
    at = end;
  };
  while (at < sql.length) {
    const code = sql.charCodeAt(at);
    if (code === 32 || (code >= 9 && code <= 13)) {
      at++;
    } else if (code === 39) {
      const [text, end] = quoted(sql, at);
      push('text', text, '', end);
    } else if (code === 96) {
      const [text, end] = nameAt(sql, at);
      push('name', text, '', end);
    } else if ((code === 120 || code === 88) && sql.charCodeAt(at + 1) === 39) {
      const end = sql.indexOf("'", at + 2);
      const digits = sql.slice(at + 2, end);
      if (end < 0 || digits.length % 2 !== 0 || /[^0-9a-f]/i.test(digits)) throw new UnsupportedSql('odd hex digits', sql);
      push('bytes', digits, '', end + 1);
    } else if (isDigit(code)) {
      const end = numberEnd(sql, at);
      push('number', sql.slice(at, end), '', end);
    } else if (isWord(code)) {
      const end = wordEnd(sql, at);
      const text = sql.slice(at, end);
      push('word', text, text.toUpperCase(), end);
    } else if (code === 64 && sql.charCodeAt(at + 1) === 64) {
      const end = wordEnd(sql, at + 2);
      push('variable', sql.slice(at + 2, end).toLowerCase(), '', end);
    } else {
      const pair = sql.slice(at, at + 2);
      const sign = SIGNS.includes(pair) ? pair : (sql[at] as string);
      if (sign.length === 1 && !SINGLE_SIGNS.includes(sign)) throw new UnsupportedSql(`the character ${sign}`, sql);
      push('sign', sign, sign, at + sign.length);
    }
  }
  push('end', '', '', at);
  return tokens;
}

function quoted(sql: string, start: number): [text: string, end: number] {
  let text = '';
  let from = start + 1;
  for (let at = from; at < sql.length; at++) {
    const code = sql.charCodeAt(at);
    if (code === 92) {
      const escaped = sql[at + 1] ?? '';
      text += sql.slice(from, at) + (ESCAPES[escaped] ?? escaped);
      from = at + 2;
      at++;
    } else if (code === 39) {
      text += sql.slice(from, at);
      if (sql.charCodeAt(at + 1) !== 39) return [text, at + 1];
      text += "'";
      from = at + 2;
      at++;
    }
  }
  throw new UnsupportedSql('a string without an end', sql);
}

function nameAt(sql: string, start: number): [text: string, end: number] {
  for (let at = start + 1; at < sql.length; at++) {
    if (sql[at] !== '`') continue;
    if (sql[at + 1] === '`') at++;
    else return [sql.slice(start + 1, at).replaceAll('``', '`'), at + 1];
  }
  throw new UnsupportedSql('a name without an end', sql);
}

const NUMBER = /\d+(?:\.\d+)?(?:e[+-]?\d+)?/iy;

function numberEnd(sql: string, at: number): number {
  NUMBER.lastIndex = at;
  NUMBER.test(sql);
  const end = NUMBER.lastIndex;
  if (isWord(sql.charCodeAt(end))) throw new UnsupportedSql('a name that begins with digits', sql);
  return end;
}

function wordEnd(sql: string, at: number): number {
  let end = at;
  while (isWord(sql.charCodeAt(end)) || isDigit(sql.charCodeAt(end))) end++;
  return end;
}

function isDigit(code: number): boolean {
  return code >= 48 && code <= 57;
}

/** Whether a name without quotes may begin with it: a letter, `_` or `$`. */
function isWord(code: number): boolean {
  return (code >= 97 && code <= 122) || (code >= 65 && code <= 90) || code === 95 || code === 36;
}
