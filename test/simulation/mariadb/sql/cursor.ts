import { tokensOf, UnsupportedSql, type Token } from './tokens.ts';

/** A place in a statement that is being read. */
export class Cursor {
  readonly sql: string;
  readonly #tokens: readonly Token[];
  #at = 0;

  constructor(sql: string) {
    this.sql = sql;
    this.#tokens = tokensOf(sql);
  }

  get token(): Token {
    return this.#tokens[this.#at] as Token;
  }

  next(): Token {
    return this.#tokens[this.#at++] as Token;
  }

  /** Whether the words or signs come next. */
  sees(upper: string, ...more: readonly string[]): boolean {
    if (this.#tokens[this.#at]?.upper !== upper) return false;
    for (let i = 0; i < more.length; i++) if (this.#tokens[this.#at + 1 + i]?.upper !== more[i]) return false;
    return true;
  }

  /** Takes the words or signs if they come next. */
  takes(upper: string, ...more: readonly string[]): boolean {
    // Mostly it is tried in vain.
    if (this.#tokens[this.#at]?.upper !== upper || !this.sees(upper, ...more)) return false;
    this.#at += 1 + more.length;
    return true;
  }

  expect(upper: string, ...more: readonly string[]): void {
    if (!this.takes(upper, ...more)) this.fail(`${[upper, ...more].join(' ')} was expected`);
  }

  /** A name, quoted or not. */
  name(): string {
    const token = this.next();
    if (token.kind !== 'name' && token.kind !== 'word') this.fail('a name was expected');
    return token.text;
  }

  /** `(a, b)`. */
  names(): string[] {
    this.expect('(');
    const names = this.list(() => this.name());
    this.expect(')');
    return names;
  }

  integer(): number {
    const token = this.next();
    if (token.kind !== 'number' || !/^\d+$/.test(token.text)) this.fail('a whole number was expected');
    return Number(token.text);
  }

  text(): string {
    const token = this.next();
    if (token.kind !== 'text') this.fail('a string was expected');
    return token.text;
  }

  /** One item or more with commas between them. */
  list<T>(item: () => T): T[] {
    const items = [item()];
    while (this.takes(',')) items.push(item());
    return items;
  }

  end(): void {
    this.takes(';');
    if (this.token.kind !== 'end') this.fail('more text than was expected');
  }

  fail(reason: string): never {
    throw new UnsupportedSql(
      `${reason} at "${this.sql.slice(this.#tokens[Math.max(0, this.#at - 1)]?.at, (this.token.at ?? 0) + 30)}"`,
      this.sql,
    );
  }
}
