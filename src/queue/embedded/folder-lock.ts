import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { messageOf, SyncError } from '../../core/errors.ts';
import { isBusy } from './errors.ts';

/**
 * Takes `folder` for this process and returns how to give it back. The operating system gives it back when the process
 * ends, however it ends: it is the lock that SQLite takes on a file of its own for a transaction that stays open.
 * @throws {SyncError} `queue_locked` at once when another process, or another queue in this one, has it.
 */
export function lockFolder(folder: string): () => void {
  let database: DatabaseSync | undefined;
  try {
    mkdirSync(folder, { recursive: true });
    database = new DatabaseSync(join(folder, 'queue.lock'), { timeout: 0 });
    database.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    database?.close();
    if (isBusy(error))
      throw new SyncError('queue_locked', `the queue in ${folder} is used by another process; stop it or use another data folder`);
    throw new SyncError(
      'queue_unavailable',
      `the folder of the queue, ${folder}, cannot be used: ${messageOf(error)}; set data (SYNCLINE_DATA) to a folder that this user may write`,
      { cause: error },
    );
  }
  const held = database;
  return () => held.close();
}
