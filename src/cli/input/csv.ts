// Hot path: called for every character of a file.
import { MAX_RECORD_CHARS, UnreadableInputError } from './limits.ts';

/** One record of a CSV file; a field that is empty and not quoted is null. */
export interface CsvRecord {
  /** Where it begins, from 1. */
  readonly line: number;
  readonly fields: readonly (string | null)[];
}

/**
 * Splits CSV text (RFC 4180) that comes in pieces: quoted fields with delimiters, line breaks and doubled quotes; CRLF,
 * LF or CR; empty lines are skipped. A quote inside a field that does not begin with one is taken as it is, and so is
 * what follows a closing quote.
 */
export class CsvParser {
  readonly #delimiter: string;
  #line = 1;
  #recordLine = 1;
  #fields: (string | null)[] = [];
  #field = '';
  #quoted = false;
  #state: 'start' | 'plain' | 'quoted' | 'quote' = 'start';
  #afterCr = false;

  constructor(delimiter = ',') {
    this.#delimiter = delimiter;
  }

  /** The records that end in `text`. @throws {UnreadableInputError} */
  push(text: string): CsvRecord[] {
    const records: CsvRecord[] = [];
    let from = 0;
    for (let i = 0; i < text.length; i++) {
      const char = text[i] as string;
      if (this.#afterCr) {
        this.#afterCr = false;
        if (char === '\n') {
          from = i + 1;
          continue;
        }
      }
      if (this.#state === 'quoted') {
        if (char === '\n') this.#line++;
        if (char !== '"') continue;
        this.#take(text, from, i);
        from = i + 1;
        this.#state = 'quote';
      } else if (char === '"' && this.#state === 'start') {
        from = i + 1;
        this.#quoted = true;
        this.#state = 'quoted';
      } else if (char === '"' && this.#state === 'quote') {
        from = i; // the second of two quotes is one that counts
        this.#state = 'quoted';
      } else if (char === this.#delimiter) {
        this.#take(text, from, i);
        from = i + 1;
        this.#endField();
      } else if (char === '\n' || char === '\r') {
        this.#take(text, from, i);
        from = i + 1;
        this.#afterCr = char === '\r';
        this.#endRecord(records);
      } else if (this.#state !== 'plain') {
        this.#state = 'plain';
      }
    }
    this.#take(text, from, text.length);
    return records;
  }

  /** The last record, when the text does not end with a line break. @throws {UnreadableInputError} in an open quote */
  end(): CsvRecord[] {
    if (this.#state === 'quoted') throw new UnreadableInputError(this.#recordLine, 'the quote that opens here is never closed');
    const records: CsvRecord[] = [];
    if (this.#state !== 'start' || this.#fields.length > 0) this.#endRecord(records);
    return records;
  }

  #take(text: string, from: number, to: number): void {
    if (to > from) this.#field += text.slice(from, to);
    if (this.#field.length > MAX_RECORD_CHARS)
      throw new UnreadableInputError(this.#recordLine, `a field is longer than ${MAX_RECORD_CHARS} characters; is a quote missing?`);
  }

  #endField(): void {
    this.#fields.push(this.#field === '' && !this.#quoted ? null : this.#field);
    this.#field = '';
    this.#quoted = false;
    this.#state = 'start';
  }

  #endRecord(records: CsvRecord[]): void {
    const blank = this.#fields.length === 0 && this.#field === '' && !this.#quoted;
    this.#endField();
    if (!blank) records.push({ line: this.#recordLine, fields: this.#fields });
    this.#fields = [];
    this.#line++;
    this.#recordLine = this.#line;
  }
}
