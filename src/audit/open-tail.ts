import { closeSync, constants, existsSync, fstatSync, ftruncateSync, openSync, readSync } from 'node:fs';
import { SyncError } from '../core/errors.ts';
import { fullFilesOf } from './audit-files.ts';
import { type Link, GENESIS, MAX_LINE_BYTES, readLine } from './chain.ts';

/** Where an audit log goes on. */
export interface Tail {
  /** Of the last line. */
  readonly link: Link;
  /** Bytes of whole lines in the file that is written; 0 when it is to be begun. */
  readonly size: number;
  /** Bytes of a line that a crash left unfinished, and that were cut off. */
  readonly tornBytes: number;
}

/**
 * Finds the end of the audit log at `path` and cuts off a line that was not finished.
 * @throws {SyncError} `audit_unavailable` when the last line is none of an audit log: somebody changed it.
 */
export function openTail(path: string): Tail {
  const tail = existsSync(path) ? readTail(path, 'cut') : { link: undefined, size: 0, tornBytes: 0 };
  const newest = fullFilesOf(path).at(-1);
  const link = tail.link ?? (newest === undefined ? GENESIS : readTail(newest, 'keep').link);
  if (link === undefined) throw damaged(String(newest));
  return { link, size: tail.size, tornBytes: tail.tornBytes };
}

function readTail(path: string, torn: 'cut' | 'keep'): { link: Link | undefined; size: number; tornBytes: number } {
  const fd = openSync(path, torn === 'cut' ? constants.O_RDWR : constants.O_RDONLY);
  try {
    const { size } = fstatSync(fd);
    // The last line, whole, and what was begun after it.
    const tail = Buffer.alloc(Math.min(size, 2 * MAX_LINE_BYTES));
    readSync(fd, tail, 0, tail.length, size - tail.length);
    const end = tail.lastIndexOf('\n') + 1;
    const tornBytes = tail.length - end;
    if (torn === 'cut' && tornBytes > 0) ftruncateSync(fd, size - tornBytes);
    if (end === 0) {
      if (size > tail.length) throw damaged(path);
      return { link: undefined, size: 0, tornBytes };
    }
    const line = readLine(tail.toString('utf8', tail.lastIndexOf('\n', end - 2) + 1, end - 1));
    if (line === undefined) throw damaged(path);
    return { link: line.link, size: size - tornBytes, tornBytes };
  } finally {
    closeSync(fd);
  }
}

function damaged(path: string): SyncError {
  return new SyncError(
    'audit_unavailable',
    `${path} does not end in a line of an audit log: it was changed, or is something else; see syncline audit verify, then move it away`,
  );
}
