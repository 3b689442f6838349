/**
 * Where `text`, which `JSON.parse` refused, stops being JSON: its offset, from 0. The engine's own message shows what was
 * sent instead of saying where.
 */
export function jsonFaultAt(text: string): number {
  return new Finder(text).find();
}

/** The line of an offset, from 1. */
export function lineAt(text: string, offset: number): number {
  let line = 1;
  for (let at = text.indexOf('\n'); at !== -1 && at < offset; at = text.indexOf('\n', at + 1)) line++;
  return line;
}

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;
const BLANK = /[ \t\n\r]*/y;
const WORD = /true|false|null/y;

/** Walks through JSON without recursion: what is nested deep must not end the process. */
class Finder {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  find(): number {
    /** What closes the containers that are open. */
    const open: string[] = [];
    let expects: 'value' | 'name' | 'name or end' | 'value or end' | 'more' = 'value';
    for (;;) {
      this.#skip(BLANK);
      const char = this.#text[this.#at];
      const isEnd = char !== undefined && char === open.at(-1);
      if (expects === 'more' || ((expects === 'name or end' || expects === 'value or end') && isEnd)) {
        if (open.length === 0) return this.#at;
        if (isEnd) {
          open.pop();
          expects = 'more';
        } else if (char === ',') expects = open.at(-1) === '}' ? 'name' : 'value';
        else return this.#at;
        this.#at++;
      } else if (expects === 'name' || expects === 'name or end') {
        if (!this.#string()) return this.#at;
        this.#skip(BLANK);
        if (this.#text[this.#at] !== ':') return this.#at;
        this.#at++;
        expects = 'value';
      } else if (char === '{' || char === '[') {
        open.push(char === '{' ? '}' : ']');
        expects = char === '{' ? 'name or end' : 'value or end';
        this.#at++;
      } else if (this.#string() || this.#skip(WORD) || this.#skip(NUMBER)) expects = 'more';
      else return this.#at;
    }
  }

  /** Steps over what `pattern` matches here; false when that is nothing. */
  #skip(pattern: RegExp): boolean {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.#text);
    if (match === null) return false;
    this.#at += match[0].length;
    return match[0].length > 0;
  }

  /** Steps over a string; false where there is none, or at the first character that may not be in it. */
  #string(): boolean {
    if (this.#text[this.#at] !== '"') return false;
    this.#at++;
    for (;;) {
      const code = this.#text.charCodeAt(this.#at);
      if (code === BACKSLASH) {
        if (!this.#skip(ESCAPE)) return false;
      } else if (code >= SPACE) {
        this.#at++;
        if (code === QUOTE) return true;
      } else return false; // a control character, or the end, which is NaN
    }
  }
}

const [SPACE, QUOTE, BACKSLASH] = [32, 34, 92];
