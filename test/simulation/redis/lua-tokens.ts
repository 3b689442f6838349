export interface Token {
  readonly kind: 'name' | 'keyword' | 'string' | 'number' | 'symbol' | 'end';
  readonly text: string;
  readonly line: number;
}

const KEYWORDS = new Set(
  'and break do else elseif end false for function goto if in local nil not or repeat return then true until while'.split(' '),
);

const TOKEN =
  /[^\S\n]*(?:(\n)|(--(?!\[\[)[^\n]*)|([A-Za-z_]\w*)|(\d+(?:\.\d+)?)|'((?:[^'\\\n])*)'|"((?:[^"\\\n])*)"|(\.\.\.|\.\.|==|~=|<=|>=|[-+*/%#<>=(){}[\];:,.]))/y;

/** Splits a script, without its `#!` line. @throws {SyntaxError} for what is outside of the subset: long brackets, escapes, hexadecimals. */
export function tokenize(source: string): Token[] {
  const text = source.startsWith('#!') ? source.slice(source.indexOf('\n')) : source;
  const tokens: Token[] = [];
  let line = 1;
  TOKEN.lastIndex = 0;
  for (let at = 0; at < text.length; at = TOKEN.lastIndex) {
    const found = TOKEN.exec(text);
    if (found === null) {
      if (/^\s*$/.test(text.slice(at))) break;
      throw new SyntaxError(`line ${line}: the simulation does not read ${text.slice(at, at + 20).trim()}`);
    }
    const [, newLine, comment, name, number, single, double, symbol] = found;
    if (newLine !== undefined) line++;
    else if (comment !== undefined) continue;
    else if (name !== undefined) tokens.push({ kind: KEYWORDS.has(name) ? 'keyword' : 'name', text: name, line });
    else if (number !== undefined) tokens.push({ kind: 'number', text: number, line });
    else if (symbol !== undefined) tokens.push({ kind: 'symbol', text: symbol, line });
    else tokens.push({ kind: 'string', text: (single ?? double)!, line });
  }
  tokens.push({ kind: 'end', text: 'the end', line });
  return tokens;
}
