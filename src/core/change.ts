/**
 * Rows and changes as every stage sees them once a payload is decoded.
 * Shapes follow `docs/protocol.md`; nothing here knows bytes, SQL or sockets.
 */

/** What happens to the row: `upsert` writes it, `insert` needs it absent, `update` needs it present, `delete` wants it gone. */
export type Op = (typeof OPS)[number];

/** Wire codes of {@link Op}: the index is the code. */
export const OPS = ['upsert', 'insert', 'update', 'delete'] as const;

/**
 * A point in time with nanoseconds, from the msgpack timestamp extension.
 * `seconds` since 1970-01-01T00:00:00Z may be negative; `nanoseconds` is 0 … 999,999,999.
 */
export class Timestamp {
  readonly seconds: number;
  readonly nanoseconds: number;

  constructor(seconds: number, nanoseconds: number) {
    this.seconds = seconds;
    this.nanoseconds = nanoseconds;
  }

  static fromDate(date: Date): Timestamp {
    const ms = date.getTime();
    if (!Number.isFinite(ms)) throw new RangeError('date is not a valid point in time');
    const seconds = Math.floor(ms / 1000);
    return new Timestamp(seconds, (ms - seconds * 1000) * 1_000_000);
  }
}

/**
 * One column's value. Integers outside ±(2^53 − 1) are `bigint`; decimals travel as strings.
 * Arrays and objects are stored as JSON where the column is JSON; objects have no prototype.
 */
export type Value =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | Timestamp
  | readonly Value[]
  | { readonly [key: string]: Value };

/** Values in the order of the group's columns. */
export type Row = readonly Value[];

/** Changes of one table with one operation and the same columns; the first `keyCount` columns are the key. */
export interface ChangeGroup {
  readonly table: string;
  readonly op: Op;
  readonly keyCount: number;
  readonly columns: readonly string[];
  readonly rows: readonly Row[];
}

/** Ordered changes of one stream for one partition: the atomic unit. */
export interface Batch {
  /** When the producer made it, ms since the epoch. */
  readonly timeMs?: number;
  /** Where it came from: a source's position, or the digest of an HTTP body. */
  readonly origin?: Value;
  readonly groups: readonly ChangeGroup[];
}

/** How many changes a batch holds; change indexes in REJECTED count through its groups in order. */
export function changeCount(batch: Batch): number {
  let count = 0;
  for (const group of batch.groups) count += group.rows.length;
  return count;
}
