// Hot path: called for every character of a file.
import { MAX_RECORD_CHARS, UnreadableInputError } from './limits.ts';

/** The text of one value and the line where it begins, from 1. */
export interface TextRecord {
  readonly line: number;
  readonly text: string;
}

/**
 * Splits a JSON array that comes in pieces into the texts of its elements, without parsing them. A single object is
 * taken for an array of one.
 */
export class JsonArraySplitter {
  #state: 'before' | 'element' | 'between' | 'after' = 'before';
  #single = false;
  #line = 1;
  #elementLine = 1;
  #depth = 0;
  #inString = false;
  #escaped = false;
  #element = '';

  /** The elements that end in `text`. @throws {UnreadableInputError} when it is no array */
  push(text: string): TextRecord[] {
    const records: TextRecord[] = [];
    let from = 0;
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      if (code === NEWLINE) this.#line++;
      if (this.#inString) {
        if (this.#escaped) this.#escaped = false;
        else if (code === BACKSLASH) this.#escaped = true;
        else if (code === QUOTE) this.#inString = false;
        continue;
      }
      if (code === NEWLINE || code === SPACE || code === TAB || code === RETURN) continue;
      if (this.#state !== 'element') {
        if (!this.#begins(code)) continue;
        from = i;
      }
      if (code === QUOTE) this.#inString = true;
      else if (code === OPEN_BRACE || code === OPEN_BRACKET) this.#depth++;
      else if (code === CLOSE_BRACE || code === CLOSE_BRACKET || code === COMMA) {
        const closes = code !== COMMA;
        if (closes && this.#depth > 0) {
          this.#depth--;
          if (this.#depth > 0 || !this.#single) continue;
          this.#endElement(records, text.slice(from, i + 1), 'after');
        } else if (this.#depth === 0) this.#endElement(records, text.slice(from, i), closes ? 'after' : 'between');
      }
    }
    if (this.#state === 'element') this.#element += text.slice(from);
    if (this.#element.length > MAX_RECORD_CHARS)
      throw new UnreadableInputError(this.#elementLine, `an element is longer than ${MAX_RECORD_CHARS} characters`);
    return records;
  }

  /** @throws {UnreadableInputError} when the array is not complete */
  end(): TextRecord[] {
    if (this.#state === 'element' || this.#state === 'between')
      throw new UnreadableInputError(this.#line, 'the JSON ends before its array does');
    return [];
  }

  /** Whether an element begins with this character, which lies before the array, between elements or after the array. */
  #begins(code: number): boolean {
    if (this.#state === 'after')
      throw new UnreadableInputError(this.#line, 'something follows the JSON array; for one object per line use --format ndjson');
    if (this.#state === 'between') {
      if (code === CLOSE_BRACKET) this.#state = 'after';
      else this.#beginElement(false);
    } else if (code === OPEN_BRACKET) this.#state = 'between';
    else if (code === OPEN_BRACE) this.#beginElement(true);
    else throw new UnreadableInputError(this.#line, 'JSON must be an array of objects, or one object');
    return this.#inElement();
  }

  #inElement(): boolean {
    return this.#state === 'element';
  }

  #beginElement(single: boolean): void {
    this.#state = 'element';
    this.#single = single;
    this.#elementLine = this.#line;
    this.#depth = 0;
    this.#element = '';
  }

  #endElement(records: TextRecord[], lastPart: string, next: 'between' | 'after'): void {
    records.push({ line: this.#elementLine, text: this.#element + lastPart });
    this.#element = '';
    this.#state = next;
  }
}

const [NEWLINE, RETURN, TAB, SPACE, QUOTE, BACKSLASH, COMMA] = [10, 13, 9, 32, 34, 92, 44];
const [OPEN_BRACE, CLOSE_BRACE, OPEN_BRACKET, CLOSE_BRACKET] = [123, 125, 91, 93];
