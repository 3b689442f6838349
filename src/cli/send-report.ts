import type { Rejection } from '../client/client.ts';
import { rowsPerSecond } from './progress.ts';
import { count, duration, printable } from './text.ts';

/** What became of a transfer. */
export interface SendResult {
  readonly rows: number;
  readonly applied: number;
  /** Rows that were sent and of which nothing is known: it ended before they were answered. */
  readonly unconfirmed: number;
  readonly elapsedMs: number;
}

const EXAMPLES_PER_CODE = 3;
const EXAMPLE_CHARS = 200;

/** Counts what was refused, by code, and keeps the first examples of each. */
export class Refusals {
  readonly #byCode = new Map<string, { count: number; readonly examples: string[] }>();
  #rejected = 0;
  #unsent = 0;

  get total(): number {
    return this.#rejected + this.#unsent;
  }

  /** Changes that the sink refused. */
  get rejectedCount(): number {
    return this.#rejected;
  }

  /** Records that were not sent. */
  get unsentCount(): number {
    return this.#unsent;
  }

  /** Changes that the sink refused: they are dead letters now. */
  rejected({ code, message, rows, changes }: Rejection): void {
    const refused = Math.max(changes.length, 1);
    const entry = this.#add(code, refused);
    this.#rejected += refused;
    for (const { table, op, row } of rows) {
      if (entry.examples.length === EXAMPLES_PER_CODE) break;
      entry.examples.push(shorten(`${message}: ${op} ${table} ${JSON.stringify(row, exact)}`));
    }
    if (rows.length === 0 && entry.examples.length < EXAMPLES_PER_CODE) entry.examples.push(shorten(message));
  }

  /** A record of the input that was not sent. */
  unreadable(line: number, reason: string): void {
    const entry = this.#add('not sent', 1);
    this.#unsent++;
    if (entry.examples.length < EXAMPLES_PER_CODE) entry.examples.push(shorten(`line ${line} ${reason}`));
  }

  describe(): string {
    const codes = [...this.#byCode].sort(([, a], [, b]) => b.count - a.count);
    return codes
      .map(
        ([code, { count: refused, examples }]) => `${count(refused)} × ${code}\n${examples.map((example) => `    ${example}\n`).join('')}`,
      )
      .join('');
  }

  #add(code: string, changes: number) {
    let entry = this.#byCode.get(code);
    if (entry === undefined) this.#byCode.set(code, (entry = { count: 0, examples: [] }));
    entry.count += changes;
    return entry;
  }
}

export function describeResult({ rows, applied, unconfirmed, elapsedMs }: SendResult, refusals: Refusals): string {
  const speed = `${count(rowsPerSecond(applied, elapsedMs))} rows/s`;
  const parts = [
    `${count(applied)} applied`,
    `${count(refusals.total)} rejected`,
    ...(unconfirmed > 0 ? [`${count(unconfirmed)} not confirmed`] : []),
  ];
  const letters = refusals.rejectedCount > 0 ? 'what the sink rejected is a dead letter there; see: syncline dead-letters list\n' : '';
  return `${count(rows)} rows in ${duration(elapsedMs)}, ${speed}: ${parts.join(', ')}\n${refusals.describe()}${letters}`;
}

function exact(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString() : value;
}

function shorten(text: string): string {
  const line = printable(text);
  return line.length > EXAMPLE_CHARS ? `${line.slice(0, EXAMPLE_CHARS)}…` : line;
}
