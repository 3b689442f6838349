import { SyncError, type ErrorCode } from '../../core/errors.ts';

/** Primary result codes of SQLite (the low byte of `errcode`) that have a meaning of their own; any other is `queue_unavailable`. */
const CODES: Readonly<Record<number, ErrorCode>> = {
  8: 'queue_readonly', // SQLITE_READONLY
  10: 'queue_full', // SQLITE_IOERR: how a full disk or a quota often shows
  13: 'queue_full', // SQLITE_FULL
};

const SQLITE_BUSY = 5;

/** What an error of SQLite means; undefined when it is not one, but a bug of ours. */
export function sqliteError(error: unknown): SyncError | undefined {
  if (error instanceof SyncError) return error;
  const code = resultCode(error);
  return code === undefined
    ? undefined
    : new SyncError(CODES[code] ?? 'queue_unavailable', `the queue file: ${(error as Error).message}`, { cause: error });
}

export function isBusy(error: unknown): boolean {
  return resultCode(error) === SQLITE_BUSY;
}

function resultCode(error: unknown): number | undefined {
  if (!(error instanceof Error) || (error as NodeJS.ErrnoException).code !== 'ERR_SQLITE_ERROR') return undefined;
  return Number((error as Error & { errcode?: number }).errcode) & 0xff;
}
