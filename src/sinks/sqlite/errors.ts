import { messageOf, SyncError, type ErrorCode } from '../../core/errors.ts';

/**
 * What SQLite's result codes (https://sqlite.org/rescode.html) mean for a sink. Decided by code, never by message text.
 * The primary code is the low byte of the extended one; an extended code listed here wins.
 */
const CODES: ReadonlyMap<number, ErrorCode> = new Map([
  [3, 'sink_denied'], // PERM
  [4, 'sink_busy'], // ABORT
  [5, 'sink_busy'], // BUSY
  [6, 'sink_busy'], // LOCKED
  [7, 'sink_full'], // NOMEM
  [8, 'sink_readonly'], // READONLY
  [9, 'sink_busy'], // INTERRUPT
  [10, 'sink_unavailable'], // IOERR
  [11, 'sink_unavailable'], // CORRUPT
  [13, 'sink_full'], // FULL
  [14, 'sink_unavailable'], // CANTOPEN
  [15, 'sink_busy'], // PROTOCOL
  [17, 'sink_busy'], // SCHEMA
  [18, 'row_too_large'], // TOOBIG
  [19, 'value_refused'], // CONSTRAINT
  [20, 'wrong_type'], // MISMATCH
  [22, 'sink_unavailable'], // NOLFS
  [23, 'sink_denied'], // AUTH
  [26, 'sink_unavailable'], // NOTADB
  [275, 'check_failed'], // CONSTRAINT_CHECK
  [787, 'foreign_key'], // CONSTRAINT_FOREIGNKEY
  [1299, 'null_not_allowed'], // CONSTRAINT_NOTNULL
  [1555, 'duplicate_unique'], // CONSTRAINT_PRIMARYKEY; whether it is the key's is found out by looking
  [1811, 'check_failed'], // CONSTRAINT_TRIGGER
  [2067, 'duplicate_unique'], // CONSTRAINT_UNIQUE
  [2579, 'duplicate_unique'], // CONSTRAINT_ROWID
  [3091, 'wrong_type'], // CONSTRAINT_DATATYPE
]);

const IOERR = 10;
const CORRUPT = 11;
const CANTOPEN = 14;
const NOTADB = 26;
const TRIGGER = 1811;

/** What SQLite threw; undefined for anything else, which is a bug. */
export function resultCode(error: unknown): number | undefined {
  return error instanceof Error && 'errcode' in error && typeof error.errcode === 'number' ? error.errcode : undefined;
}

/** Whether the file itself failed, so that the connection is better closed. */
export function isFileTrouble(error: unknown): boolean {
  return [IOERR, CORRUPT, CANTOPEN, NOTADB].includes((resultCode(error) ?? 0) & 0xff);
}

/** Whether the file is no database, or no longer a sound one. */
export function isDamage(error: unknown): boolean {
  return [CORRUPT, NOTADB].includes((resultCode(error) ?? 0) & 0xff);
}

/** `error` of an access to the database as a whole: what is not the world's doing is returned as it is. */
export function databaseError(error: unknown, doing: string): unknown {
  if (error instanceof SyncError) return error;
  const result = resultCode(error);
  if (result === undefined) return error;
  const code = CODES.get(result) ?? CODES.get(result & 0xff) ?? 'sink_unavailable';
  return new SyncError(code, `sqlite: ${doing}: ${messageOf(error)}`, { cause: error });
}

/** `error` of a change of a row in `table`. */
export function changeError(error: unknown, table: string): unknown {
  if (error instanceof SyncError) return error;
  const result = resultCode(error);
  if (result === undefined) return error;
  const code = CODES.get(result) ?? CODES.get(result & 0xff) ?? 'value_refused';
  // What a trigger says is its author's text, and may quote the row.
  const message = result === TRIGGER ? 'a trigger refused the row' : messageOf(error);
  return new SyncError(code, `${table}: ${message}`, { cause: error });
}
