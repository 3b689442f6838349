import { DatabaseSync } from 'node:sqlite';
import { messageOf, SyncError } from '../core/errors.ts';

/**
 * Takes the audit log at `path` for this process, until the result is closed or the process ends, however it ends: the
 * lock is one that SQLite takes on a file beside it.
 * @throws {SyncError} `audit_unavailable` at once when somebody else has it.
 */
export function lockAudit(path: string): DatabaseSync {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(`${path}.lock`, { timeout: 0 });
    database.exec('PRAGMA journal_mode = MEMORY; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
    return database;
  } catch (error) {
    database?.close();
    const busy = (error as { errcode?: unknown }).errcode === SQLITE_BUSY;
    throw new SyncError(
      'audit_unavailable',
      busy
        ? `the audit log ${path} is written by another process; give each its own (audit.file)`
        : `the audit log ${path} cannot be locked: ${messageOf(error)}; set audit.file to a place that this user may write`,
      { cause: error },
    );
  }
}

const SQLITE_BUSY = 5;
