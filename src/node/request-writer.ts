import type { Rejection } from '../client/rejection.ts';
import {
  type Ack,
  type ChangeRejection,
  type ChangeWriter,
  MAX_REJECTIONS,
  type RejectedChanges,
  type RequestChange,
} from '../ingest/http/change-writer.ts';
import type { WriterStream } from './writer-stream.ts';

/** How a request has a stream: beside others, alone for its time, or of its own. */
export type Tenure = 'shared' | 'alone';

/** Lets a stream know what there is to know of the table of a change. */
export type LookUp = (stream: WriterStream, change: RequestChange) => Promise<void>;

/** The writer of one request, on a stream that outlives it or that is its own. */
export class RequestWriter implements ChangeWriter {
  readonly #stream: WriterStream;
  readonly #lookUp: LookUp;
  readonly #released: () => void;
  /** Its changes are numbered from here on, where it has the stream alone. */
  readonly #firstNumber: number;
  readonly #rejections: ChangeRejection[] = [];
  #rejectedCount = 0;
  #isReleased = false;

  constructor(stream: WriterStream, tenure: Tenure, lookUp: LookUp, released: () => void) {
    this.#stream = stream;
    this.#lookUp = lookUp;
    this.#released = released;
    this.#firstNumber = stream.takenCount;
    if (tenure === 'alone') stream.rejected = (rejection) => this.#rejected(rejection);
  }

  lookUp(change: RequestChange): Promise<void> | undefined {
    return this.#stream.knows(change.table) ? undefined : this.#lookUp(this.#stream, change);
  }

  check(change: RequestChange): void {
    this.#stream.check(change);
  }

  write(change: RequestChange): Promise<void> | undefined {
    return this.#stream.write(change);
  }

  async settle(ack: Ack, signal: AbortSignal): Promise<RejectedChanges> {
    await this.#stream.settle(ack, signal);
    return { count: this.#rejectedCount, rejections: this.#rejections.toSorted((a, b) => a.index - b.index) };
  }

  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#stream.rejected = undefined;
    this.#released();
  }

  #rejected({ code, message, numbers = [] }: Rejection): void {
    for (const number of numbers) {
      // What an earlier request had left behind.
      if (number < this.#firstNumber) continue;
      this.#rejectedCount++;
      if (this.#rejections.length < MAX_REJECTIONS) this.#rejections.push({ index: number - this.#firstNumber, code, message });
    }
  }
}
