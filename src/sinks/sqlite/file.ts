import { mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { pathToFileURL } from 'node:url';
import { sleep, type Clock } from '../../core/clock.ts';
import { SyncError } from '../../core/errors.ts';
import { databaseError, isFileTrouble } from './errors.ts';

/** How long SQLite itself waits for a lock, inside a call. */
const BUSY_TIMEOUT_MS = 5000;
/** How long {@link SqliteFile.lock} waits for the write lock. */
const LOCK_WAIT_MS = 5000;
const LOCK_POLL_MS = [1, 2, 5, 10, 20, 25] as const;
/** The write-ahead log is cut back to this after a checkpoint. */
const WAL_LIMIT_BYTES = 64 * 1024 * 1024;

const SETTINGS = `
  PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS};
  PRAGMA synchronous = FULL;
  PRAGMA foreign_keys = ON;
  PRAGMA trusted_schema = OFF;
  PRAGMA journal_size_limit = ${WAL_LIMIT_BYTES};
`;

/**
 * A database file with two connections, opened when first used and again after trouble: one that writes, one that only
 * reads and therefore never sees what a transaction of the first has not committed.
 */
export class SqliteFile {
  readonly path: string;
  readonly clock: Clock;
  #writer: DatabaseSync | undefined;
  #reader: DatabaseSync | undefined;
  #identity = '';
  #locked = false;
  #suspect = false;
  #closed = false;

  constructor(path: string, clock: Clock) {
    this.path = path;
    this.clock = clock;
  }

  /** Creates the file and its folder where they are missing, and switches it to the write-ahead log. */
  create(): void {
    try {
      mkdirSync(dirname(this.path), { recursive: true });
      const db = new DatabaseSync(this.path);
      try {
        db.exec(SETTINGS);
        const { journal_mode: mode } = db.prepare('PRAGMA journal_mode = WAL').get() as { journal_mode: string };
        if (mode !== 'wal')
          throw new SyncError(
            'sink_unsuitable',
            `sqlite: ${this.path} cannot use a write-ahead log (journal_mode is ${mode}): put it on a local disk`,
          );
        // A process that was killed may have left commits in the log that are seen from now on and not on the disk yet.
        db.exec('PRAGMA wal_checkpoint');
      } finally {
        db.close();
      }
    } catch (error) {
      throw fileError(error, `open ${this.path}`);
    }
  }

  /** Reads outside any transaction of the writer. */
  read<T>(doing: string, run: (db: DatabaseSync) => T): T {
    try {
      this.#lookAtFile();
      this.#reader ??= this.#connect('PRAGMA query_only = ON');
      return run(this.#reader);
    } catch (error) {
      if (isFileTrouble(error)) this.#dropReader();
      throw fileError(error, doing);
    }
  }

  /**
   * Begins a transaction that holds the write lock of the database, waiting for it without blocking the thread.
   * Every call is followed by one of {@link unlock}.
   * @throws {SyncError} `sink_busy` when somebody else holds it for too long.
   */
  async lock(): Promise<DatabaseSync> {
    const deadline = this.clock.monotonicMs() + LOCK_WAIT_MS;
    for (let attempt = 0; ; attempt++) {
      const db = this.#tryLock();
      if (db !== undefined) return db;
      if (this.clock.monotonicMs() >= deadline)
        throw new SyncError('sink_busy', `sqlite: ${this.path} was locked by another writer for ${LOCK_WAIT_MS} ms`);
      await sleep(this.clock, LOCK_POLL_MS[Math.min(attempt, LOCK_POLL_MS.length - 1)] as number);
    }
  }

  #tryLock(): DatabaseSync | undefined {
    if (this.#closed) throw new SyncError('sink_unavailable', 'sqlite: the sink is closed');
    if (this.#locked) return undefined;
    try {
      this.#lookAtFile();
      const db = (this.#writer ??= this.#connect(''));
      // SQLite's own wait would block the thread, and with it whoever holds the lock in this thread.
      db.exec('PRAGMA busy_timeout = 0');
      try {
        db.exec('BEGIN IMMEDIATE');
      } finally {
        db.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}`);
      }
      this.#locked = true;
      return db;
    } catch (error) {
      if (isFileTrouble(error)) this.#dropWriter();
      const problem = fileError(error, 'begin a transaction');
      if (problem instanceof SyncError && problem.code === 'sink_busy') return undefined;
      throw problem;
    }
  }

  /** Ends what is left of the transaction that {@link lock} began: after a commit, nothing. */
  unlock(): void {
    this.#locked = false;
    if (this.#suspect) this.#dropWriter();
    if (this.#writer?.isTransaction !== true) return;
    try {
      this.#writer.exec('ROLLBACK');
    } catch {
      // Closing the connection rolls back too.
      this.#dropWriter();
    }
  }

  /** Throws when what would be committed now would be committed to a file that is no longer at its path. */
  assertInPlace(): void {
    if (fileIdentity(this.path) === this.#identity) return;
    throw new SyncError('sink_unavailable', `sqlite: ${this.path} was moved, deleted or replaced while it was in use`);
  }

  /** `error` as what it means for the sink; a connection in doubt is remembered, see {@link suspect}. */
  problem(error: unknown, doing: string): unknown {
    this.suspect(error);
    return fileError(error, doing);
  }

  /** Remembers that `error` left the writing connection in doubt, if so: {@link unlock} closes it, the next use opens it again. */
  suspect(error: unknown): void {
    if (isFileTrouble(error)) this.#suspect = true;
  }

  #dropWriter(): void {
    this.#suspect = false;
    if (this.#writer?.isOpen === true) this.#writer.close();
    this.#writer = undefined;
  }

  #dropReader(): void {
    if (this.#reader?.isOpen === true) this.#reader.close();
    this.#reader = undefined;
  }

  close(): void {
    this.#closed = true;
    this.#dropWriter();
    this.#dropReader();
  }

  /**
   * Notices that the file was moved, deleted or replaced: SQLite would go on in the old one, and what is committed
   * there is seen by nobody.
   */
  #lookAtFile(): void {
    if (this.#closed) throw new SyncError('sink_unavailable', 'sqlite: the sink is closed');
    const identity = fileIdentity(this.path);
    if (identity === '')
      throw new SyncError('sink_unavailable', `sqlite: ${this.path} is missing: put it back, or start the server anew to create it`);
    if (identity === this.#identity) return;
    if (this.#locked) this.assertInPlace();
    this.#dropWriter();
    this.#dropReader();
    this.#identity = identity;
  }

  #connect(more: string): DatabaseSync {
    // `mode=rw`: a file that vanished is not made anew, empty of every watermark.
    const url = pathToFileURL(this.path);
    url.searchParams.set('mode', 'rw');
    const db = new DatabaseSync(url, { timeout: BUSY_TIMEOUT_MS });
    try {
      db.enableDefensive(true);
      db.exec(SETTINGS + more);
      return db;
    } catch (error) {
      db.close();
      throw error;
    }
  }
}

function fileIdentity(path: string): string {
  const found = statSync(path, { bigint: true, throwIfNoEntry: false });
  return found === undefined ? '' : `${found.dev}:${found.ino}`;
}

function fileError(error: unknown, doing: string): unknown {
  const system = error instanceof Error && 'code' in error && typeof error.code === 'string' && 'syscall' in error;
  if (system) return new SyncError('sink_unavailable', `sqlite: ${doing}: ${error.message}`, { cause: error });
  return databaseError(error, doing);
}
