import { OutsideSubset } from './lua-values.ts';

const CLASSES: Readonly<Record<string, string>> = {
  d: '[0-9]',
  a: '[A-Za-z]',
  w: '[0-9A-Za-z]',
  s: '[\\t-\\r ]',
  S: '[^\\t-\\r ]',
  x: '[0-9A-Fa-f]',
};

const translated = new Map<string, RegExp>();

/** A Lua pattern as a regular expression; both try the longest first and go back. Sets and `%b` are outside of the subset. */
export function translatePattern(pattern: string): RegExp {
  let regExp = translated.get(pattern);
  if (regExp === undefined) translated.set(pattern, (regExp = new RegExp(translate(pattern))));
  return regExp;
}

function translate(pattern: string): string {
  let source = '';
  for (let at = 0; at < pattern.length; at++) {
    const char = pattern.charAt(at);
    if (char === '^' && at === 0) source += '^';
    else if (char === '$' && at === pattern.length - 1) source += '$';
    else if (char === '(' && pattern[at + 1] === ')') throw new OutsideSubset(`a position capture in the pattern ${pattern}`);
    else if (char === '(' || char === ')') source += char;
    else {
      let item: string;
      if (char === '%') item = classOf(pattern.charAt(++at), pattern);
      else if (char === '[' || char === ']') throw new OutsideSubset(`a set in the pattern ${pattern}`);
      else item = char === '.' ? '[^]' : literal(char);
      const next = pattern[at + 1];
      if (next === '*' || next === '+' || next === '?' || next === '-') {
        item += next === '-' ? '*?' : next;
        at++;
      }
      source += item;
    }
  }
  return source;
}

function classOf(char: string, pattern: string): string {
  const known = CLASSES[char];
  if (known !== undefined) return known;
  if (char === '' || /[0-9A-Za-z]/.test(char)) throw new OutsideSubset(`%${char} in the pattern ${pattern}`);
  return literal(char);
}

function literal(char: string): string {
  return /[\^$\\.*+?()[\]{}|/-]/.test(char) ? `\\${char}` : char;
}
