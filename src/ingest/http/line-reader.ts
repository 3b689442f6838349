// Hot path: every byte of NDJSON passes here.
import { isUtf8 } from 'node:buffer';
import type { RequestMemory } from './change-writer.ts';
import { RequestFault } from './request-fault.ts';

const NEWLINE = 10;
/** Unfinished lines below this are not counted: the chunks that carry them are not either. */
const FREE_BYTES = 64 * 1024;

/** Cuts a body that comes in chunks behind its line breaks. */
export class LineReader {
  readonly #memory: RequestMemory;
  readonly #maxLineBytes: number;
  #rest: Uint8Array[] = [];
  #restBytes = 0;
  #takenBytes = 0;

  constructor(memory: RequestMemory, maxLineBytes: number) {
    this.#memory = memory;
    this.#maxLineBytes = maxLineBytes;
  }

  /** The complete lines that `chunk` ends; undefined when it ends none. @throws {RequestFault} 413, for a line without end. */
  async push(chunk: Uint8Array, signal: AbortSignal): Promise<Buffer | undefined> {
    const end = chunk.lastIndexOf(NEWLINE) + 1;
    const lines = end === 0 ? undefined : this.#flush(chunk.subarray(0, end));
    if (end < chunk.length) {
      this.#rest.push(chunk.subarray(end));
      this.#restBytes += chunk.length - end;
    }
    if (this.#restBytes > this.#maxLineBytes)
      throw new RequestFault(
        413,
        'body_too_large',
        `a line is longer than the ${this.#maxLineBytes} bytes that are taken; is it NDJSON? listen.web.maxBodyBytes is the limit`,
      );
    if (this.#restBytes > FREE_BYTES && this.#restBytes > this.#takenBytes) {
      const bytes = this.#restBytes - this.#takenBytes;
      await this.#memory.take(bytes, signal);
      this.#takenBytes += bytes;
    }
    return lines;
  }

  /** The last line, when no line break follows it. */
  end(): Buffer | undefined {
    return this.#restBytes === 0 ? undefined : this.#flush(new Uint8Array());
  }

  close(): void {
    this.#memory.give(this.#takenBytes);
    this.#takenBytes = 0;
  }

  #flush(last: Uint8Array): Buffer {
    const lines = this.#restBytes === 0 ? Buffer.from(last.buffer, last.byteOffset, last.length) : Buffer.concat([...this.#rest, last]);
    this.#rest = [];
    this.#restBytes = 0;
    this.close();
    return lines;
  }
}

/** `lines` as text; undefined when they are no UTF-8. */
export function linesText(lines: Buffer): string | undefined {
  return isUtf8(lines) ? lines.toString('utf8') : undefined;
}
