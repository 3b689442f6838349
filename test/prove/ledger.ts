import { appendFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { LEDGER_ENTRY, type LedgerEntry } from './ledger-entry.ts';

/** Every slice that was finished on this machine, a line of JSON each: `.prove/ledger.ndjson`. */
export class Ledger {
  readonly #file: string;

  constructor(file: string) {
    this.#file = file;
  }

  /** What it holds, oldest first. A line that was torn by a kill is left out: its slice is done again. */
  read(): LedgerEntry[] {
    return this.#text()
      .split('\n')
      .flatMap((line) => parse(line));
  }

  append(entry: LedgerEntry): void {
    mkdirSync(dirname(this.#file), { recursive: true });
    const text = this.#text();
    // What follows a torn line must not become part of it.
    const start = text === '' || text.endsWith('\n') ? '' : '\n';
    appendFileSync(this.#file, `${start}${JSON.stringify(entry)}\n`);
  }

  #text(): string {
    return existsSync(this.#file) ? readFileSync(this.#file, 'utf8') : '';
  }
}

function parse(line: string): LedgerEntry[] {
  try {
    const { success, data } = LEDGER_ENTRY.safeParse(JSON.parse(line));
    return success ? [data] : [];
  } catch {
    return [];
  }
}
