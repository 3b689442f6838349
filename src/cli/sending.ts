import type { Client, Table } from '../client/client.ts';
import { messageOf, SyncError } from '../core/errors.ts';
import { UnreadableInputError } from './input/limits.ts';
import type { InputRow } from './input/rows.ts';
import { startProgress, type Progress } from './progress.ts';
import { Refusals, type SendResult } from './send-report.ts';
import { count } from './text.ts';

export interface SendingOptions {
  /** Key columns of every table whose rows name none; undefined leaves them to the server. */
  readonly key: readonly string[] | undefined;
  readonly totalBytes: number | undefined;
  /** Ends when nothing was applied for so long; 0 waits for ever. */
  readonly giveUpMs: number;
  /** Width of the terminal that progress is shown on; undefined when it is none. */
  readonly columns: number | undefined;
  /** Where progress goes; undefined shows none. */
  readonly write: ((text: string) => void) | undefined;
}

export interface SendEnd {
  readonly result: SendResult;
  readonly refusals: Refusals;
  readonly interrupted: boolean;
  /** Why it ended early, for people. */
  readonly trouble: string | undefined;
}

/** How long what was accepted may take to be applied after an interruption. */
const INTERRUPT_GRACE_MS = 3000;
/** When none of so many records can be sent, the rest is not tried. */
const MAX_LEADING_FAULTS = 1000;
const GIVE_UP_POLL_MS = 250;

/** One transfer: rows into a client, until all are applied, something ends it, or it is interrupted. */
export class Sending {
  readonly #client: Client;
  readonly #options: SendingOptions;
  readonly #refusals = new Refusals();
  readonly #tables = new Map<string, Table<Readonly<Record<string, unknown>>>>();
  readonly #startedMs = performance.now();
  #readBytes = 0;
  #readRows = 0;
  #sentRows = 0;
  #connectionTrouble: string | undefined;
  #trouble: string | undefined;
  /** Ends the wait for what is in flight. */
  readonly #end = new AbortController();

  constructor(client: Client, options: SendingOptions) {
    this.#client = client;
    this.#options = options;
    client.on('rejected', (rejection) => this.#refusals.rejected(rejection));
    client.on('connected', () => (this.#connectionTrouble = undefined));
    client.on('disconnected', ({ reason }) => (this.#connectionTrouble = `connecting again: ${reason}`));
    client.on('error', (error) => this.#fail(`${error.message} [${error.code}]`));
    client.on('regressed', (error) => this.#fail(`${error.message} [${error.code}]`));
  }

  /** Sends everything that `read` gives and closes the client. `stop` ends it early, but lets what was sent be applied. */
  async run(read: (countBytes: (bytes: number) => void) => AsyncIterable<readonly InputRow[]>, stop: AbortSignal): Promise<SendEnd> {
    const { write, columns } = this.#options;
    const display = write === undefined ? undefined : startProgress(() => this.#progress(), write, columns);
    const giveUp = this.#watchProgress();
    const interrupt = () => setTimeout(() => this.#abandon(), INTERRUPT_GRACE_MS).unref();
    if (stop.aborted) interrupt();
    else stop.addEventListener('abort', interrupt, { once: true });
    try {
      await this.#sendAll(
        read((bytes) => (this.#readBytes += bytes)),
        stop,
      );
      await this.#client.flush({ signal: this.#end.signal });
    } catch (error) {
      this.#note(error, stop);
    } finally {
      clearInterval(giveUp);
      stop.removeEventListener('abort', interrupt);
      display?.close();
    }
    const { appliedChanges, pendingChanges } = this.#client.status();
    await this.#client.close({ flush: false }).catch(() => undefined);
    const result = {
      rows: this.#readRows,
      applied: appliedChanges,
      unconfirmed: pendingChanges,
      elapsedMs: performance.now() - this.#startedMs,
    };
    return { result, refusals: this.#refusals, interrupted: stop.aborted, trouble: this.#trouble };
  }

  async #sendAll(input: AsyncIterable<readonly InputRow[]>, stop: AbortSignal): Promise<void> {
    for await (const rows of abortable(input, AbortSignal.any([stop, this.#end.signal]))) {
      for (const row of rows) {
        if (stop.aborted || this.#end.signal.aborted) return;
        this.#readRows++;
        if ('fault' in row) this.#refusals.unreadable(row.line, row.fault);
        else await this.#sendOne(row);
        if (this.#sentRows === 0 && this.#refusals.total >= MAX_LEADING_FAULTS)
          throw new Error(`none of the first ${count(MAX_LEADING_FAULTS)} records can be sent, so the rest was not tried`);
      }
    }
  }

  async #sendOne(input: Exclude<InputRow, { fault: string }>): Promise<void> {
    try {
      await this.#table(input.table, input.key ?? this.#options.key)[input.op](input.row);
      this.#sentRows++;
    } catch (error) {
      // What is wrong with one row concerns that row; what is wrong with the client ends everything.
      if (error instanceof TypeError || (error instanceof SyncError && error.code === 'frame_too_large'))
        this.#refusals.unreadable(input.line, `cannot be sent: ${error.message}`);
      else throw error;
    }
  }

  #table(name: string, key: readonly string[] | undefined): Table<Readonly<Record<string, unknown>>> {
    const id = JSON.stringify([name, key]);
    let table = this.#tables.get(id);
    if (table === undefined) this.#tables.set(id, (table = this.#client.table(name, key === undefined ? {} : { key })));
    return table;
  }

  #progress(): Progress {
    const { appliedChanges, pendingChanges, lagMs, held } = this.#client.status();
    return {
      readBytes: this.#readBytes,
      totalBytes: this.#options.totalBytes,
      readRows: this.#readRows,
      appliedRows: appliedChanges,
      elapsedMs: performance.now() - this.#startedMs,
      lagRows: pendingChanges,
      lagMs,
      trouble: this.#connectionTrouble ?? (held === undefined ? undefined : `held back: ${held}`),
    };
  }

  #watchProgress(): NodeJS.Timeout | undefined {
    const { giveUpMs } = this.#options;
    if (giveUpMs === 0) return undefined;
    let applied = 0;
    let movedMs = performance.now();
    return setInterval(() => {
      const now = this.#client.status();
      if (now.appliedChanges !== applied || now.pendingChanges === 0) movedMs = performance.now();
      applied = now.appliedChanges;
      if (performance.now() - movedMs >= giveUpMs)
        this.#fail(
          `nothing was applied for ${giveUpMs / 1000} s${this.#connectionTrouble === undefined ? '' : `; ${this.#connectionTrouble}`}`,
        );
    }, GIVE_UP_POLL_MS);
  }

  #fail(reason: string): void {
    this.#trouble ??= reason;
    this.#abandon();
  }

  /** Ends every wait: for room in the buffer and for what is in flight. */
  #abandon(): void {
    this.#end.abort();
    this.#client.close({ flush: false }).catch(() => undefined);
  }

  #note(error: unknown, stop: AbortSignal): void {
    if (stop.aborted || this.#end.signal.aborted) return;
    if (error instanceof SyncError || error instanceof UnreadableInputError || isInputError(error)) this.#trouble = messageOf(error);
    else throw error;
  }
}

/** What reading a file or a pipe, or the reader of its format, has to say; anything else is a bug. */
function isInputError(error: unknown): error is Error {
  return error instanceof Error && !(error instanceof TypeError) && !(error instanceof RangeError);
}

/** `input` until `signal` is aborted, also while it waits for more. */
async function* abortable<T>(input: AsyncIterable<T>, signal: AbortSignal): AsyncGenerator<T> {
  const iterator = input[Symbol.asyncIterator]();
  const aborted = new Promise<undefined>((resolve) => signal.addEventListener('abort', () => resolve(undefined), { once: true }));
  try {
    while (!signal.aborted) {
      const next = await Promise.race([iterator.next(), aborted]);
      if (next === undefined || next.done === true) return;
      yield next.value;
    }
  } finally {
    // Not awaited: a read that waits for more of a pipe may never end.
    void iterator.return?.();
  }
}
