import type { Op, Value } from '../core/change.ts';
import { decodeBatch } from '../protocol/batch.ts';
import { HEADER_BYTES } from '../protocol/frame.ts';
import type { Rejected } from '../protocol/messages.ts';
import type { HeldFrame } from './lane.ts';

/** Changes of one batch that the sink refused for good: they are dead letters on the server now. */
export interface Rejection {
  readonly sink: string;
  /** From `docs/errors.md`. */
  readonly code: string;
  readonly message: string;
  readonly partition: number;
  readonly seq: number;
  /** Indexes of the changes in their batch. Empty only for a whole batch that this client no longer holds. */
  readonly changes: readonly number[];
  /** Their places among all changes that this client took, from 0; only where it was asked to keep them. */
  readonly numbers?: readonly number[];
  /** The table of the first of them. */
  readonly table: string | undefined;
  /** The changes themselves, the first {@link MAX_REPORTED_ROWS} of them. */
  readonly rows: readonly RejectedRow[];
}

export interface RejectedRow {
  readonly table: string;
  readonly op: Op;
  readonly row: { readonly [column: string]: Value };
}

export const MAX_REPORTED_ROWS = 1000;

/** `frame` is undefined when the client does not hold it, or cannot be sure that it is the one; then there are no rows to show. */
export function rejectionOf(partition: number, seq: number, rejected: Rejected, frame: HeldFrame | undefined): Rejection {
  const { sink, code, message } = rejected;
  const whole = rejected.changes.length === 0;
  const changes = whole ? Array.from({ length: frame?.changes ?? 0 }, (_, index) => index) : rejected.changes;
  const rows = frame === undefined ? [] : rowsOf(frame, new Set(changes));
  const numbers = frame?.numbers;
  return {
    ...{ sink, code, message, partition, seq, changes, table: rows[0]?.table, rows },
    ...(numbers === undefined ? {} : { numbers: changes.map((index) => numbers[index]!) }),
  };
}

function rowsOf(frame: HeldFrame, wanted: ReadonlySet<number>): RejectedRow[] {
  const rows: RejectedRow[] = [];
  let index = 0;
  for (const { table, op, columns, rows: values } of decodeBatch(frame.bytes.subarray(HEADER_BYTES)).groups) {
    for (const row of values) {
      if (rows.length === MAX_REPORTED_ROWS) return rows;
      if (wanted.has(index)) {
        rows.push({ table, op, row: Object.fromEntries(columns.map((column, i) => [column, row[i]!])) });
      }
      index += 1;
    }
  }
  return rows;
}
