import { readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { messageOf, SyncError } from '../core/errors.ts';

export interface SpoolLock {
  release(): void;
}

/**
 * Takes a folder for this process alone. The lock is one that the kernel holds and drops when the process dies, however
 * it dies: a lock file with a process id could not tell a dead owner from another container's. SQLite is the way to
 * such a lock that comes with Node.
 * @throws {SyncError} `spool_locked` when somebody has it.
 */
export function lockSpool(folder: string): SpoolLock {
  const path = join(folder, 'lock');
  let database: DatabaseSync | undefined;
  try {
    // Asked for here, so that an older Node.js can load this module and `connect` can say what is wrong.
    const sqlite = process.getBuiltinModule('node:sqlite');
    database = new sqlite.DatabaseSync(path, { timeout: 0 });
    database.exec('PRAGMA journal_mode = MEMORY; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
  } catch (error) {
    database?.close();
    const busy = (error as { errcode?: unknown }).errcode === SQLITE_BUSY;
    if (!busy) throw new SyncError('spool_unavailable', `spool ${folder} cannot be locked: ${messageOf(error)}`, { cause: error });
    throw new SyncError(
      'spool_locked',
      `spool ${folder} is used by another client${ownerOf(folder)}; give each client a folder of its own`,
    );
  }
  try {
    writeFileSync(join(folder, 'owner'), `process ${process.pid} on ${hostname()}\n`);
  } catch {
    // Only for people who find the folder locked.
  }
  const held = database;
  return { release: () => held.close() };
}

const SQLITE_BUSY = 5;

function ownerOf(folder: string): string {
  try {
    return ` (${readFileSync(join(folder, 'owner'), 'utf8').trim()})`;
  } catch {
    return '';
  }
}
