import type { Effect } from './engine.ts';
import type { IndexKey } from './keys.ts';
import type { Table } from './table.ts';
import type { Row } from './values.ts';

/** What a commit put in place of a row. */
export interface Replaced {
  readonly table: Table;
  /** Of the entry in the primary key. */
  readonly text: string;
  readonly key: IndexKey;
  /** Undefined where there was no row. */
  readonly before: Row | undefined;
}

interface Commit {
  readonly number: number;
  readonly effects: readonly Effect[];
  readonly replaced: readonly Replaced[];
}

/**
 * The commits that others see and a crash still undoes: InnoDB lets go of a transaction's locks before it has written
 * what the transaction did to the disk, and answers COMMIT after that. The log is written in the order of commits, so
 * whatever is durable is a prefix of what is visible.
 */
export class RedoLog {
  /** Of what is durable, in order of commits. */
  readonly effects: Effect[] = [];
  /** Number of the last durable commit. */
  durable = 0;
  #unflushed: Commit[] = [];
  readonly #waiting: { readonly number: number; readonly run: () => void }[] = [];

  get isFlushed(): boolean {
    return this.#unflushed.length === 0;
  }

  add(commit: Commit): void {
    this.#unflushed.push(commit);
  }

  /** Makes everything up to a commit durable. */
  flush(number: number): void {
    while (this.#unflushed.length > 0 && this.#unflushed[0]!.number <= number) {
      const commit = this.#unflushed.shift()!;
      this.effects.push(...commit.effects);
      this.durable = commit.number;
    }
    const due = this.#waiting.filter((each) => each.number <= this.durable);
    for (const each of due) this.#waiting.splice(this.#waiting.indexOf(each), 1);
    for (const { run } of due) run();
  }

  flushAll(): void {
    const newest = this.#unflushed.at(-1);
    if (newest !== undefined) this.flush(newest.number);
  }

  /** Runs `run` once the commit is durable, at once if it is. */
  whenDurable(number: number, run: () => void): void {
    if (number <= this.durable) run();
    else this.#waiting.push({ number, run });
  }

  /** Rows that commits replaced which are not durable, the newest first: putting them back in this order undoes the commits. */
  unflushed(): Replaced[] {
    return this.#unflushed.flatMap(({ replaced }) => replaced).reverse();
  }

  /** Forgets what is not durable; nobody gets an answer any more. */
  lose(): void {
    this.#unflushed = [];
    this.#waiting.length = 0;
  }
}
