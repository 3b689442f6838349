import { MAX_RECORD_CHARS, UnreadableInputError } from './limits.ts';
import type { TextRecord } from './json-array.ts';

/** Splits text that comes in pieces into lines; blank ones are skipped. */
export class LineSplitter {
  #line = 1;
  #rest = '';

  /** The lines that end in `text`. @throws {UnreadableInputError} for a line without end */
  push(text: string): TextRecord[] {
    const records: TextRecord[] = [];
    let from = 0;
    for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', from)) {
      this.#add(records, this.#rest + text.slice(from, at));
      this.#rest = '';
      this.#line++;
      from = at + 1;
    }
    this.#rest += text.slice(from);
    if (this.#rest.length > MAX_RECORD_CHARS)
      throw new UnreadableInputError(this.#line, `is longer than ${MAX_RECORD_CHARS} characters; is it NDJSON?`);
    return records;
  }

  end(): TextRecord[] {
    const records: TextRecord[] = [];
    this.#add(records, this.#rest);
    return records;
  }

  #add(records: TextRecord[], text: string): void {
    if (text.trim() !== '') records.push({ line: this.#line, text });
  }
}
