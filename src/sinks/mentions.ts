/** Between words; letters beyond ASCII need no quotes in a name. */
const NO_WORD = /[^\w$\u0080-\uffff]+/;

/** Which names statements of SQL may mean, as far as their text tells. Errs towards more. */
export class Mentions {
  readonly #words = new Set<string>();
  #text = '';

  constructor(...statements: readonly string[]) {
    for (const statement of statements) this.add(statement);
  }

  /** All statements, in lower case. */
  get text(): string {
    return this.#text;
  }

  add(statement: string): void {
    const lower = statement.toLowerCase();
    this.#text += `${lower}\n`;
    for (const word of lower.split(NO_WORD)) this.#words.add(word);
  }

  /** Whether the name occurs as a word, whatever its case. */
  has(name: string): boolean {
    const lower = name.toLowerCase();
    if (!NO_WORD.test(lower)) return this.#words.has(lower);
    // Such a name stands in quotes, with those that it contains doubled.
    return [lower, lower.replaceAll('`', '``'), lower.replaceAll('"', '""')].some((spelling) => this.#text.includes(spelling));
  }
}

/**
 * What triggers may read or write. A trigger that another one sets off is among `statements` itself, so only what stands
 * between a trigger and a table needs following: `relays` are the names of such things, of views for one, with the text
 * that says where they lead.
 */
export function mentionsOf(statements: readonly string[], relays: Iterable<readonly [name: string, text: string]>): Mentions {
  const mentions = new Mentions(...statements);
  let waiting = [...relays];
  for (;;) {
    const reached = waiting.filter(([name]) => mentions.has(name));
    if (reached.length === 0) return mentions;
    waiting = waiting.filter((relay) => !reached.includes(relay));
    for (const [, text] of reached) mentions.add(text);
  }
}
