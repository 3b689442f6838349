import { type FileHandle, open, stat } from 'node:fs/promises';
import { mkdirSync, renameSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { type Clock, sleep } from '../core/clock.ts';
import { messageOf, SyncError } from '../core/errors.ts';
import { fullFile, fullFilesOf } from './audit-files.ts';
import { type AuditFields, type Link, MAX_LINE_BYTES, sealLine } from './chain.ts';
import { lockAudit } from './lock-audit.ts';
import { openTail, type Tail } from './open-tail.ts';

export interface AuditFileOptions {
  readonly path: string;
  /** Size at which a file is full and another is begun. */
  readonly maxBytes: number;
  /** Full files that are kept; older ones are removed. */
  readonly maxFiles: number;
  readonly clock: Clock;
  /** Lines cannot be written, and why; undefined when they can again. */
  readonly troubled: (failure: string | undefined) => void;
}

/** Events that wait while the disk takes nothing; what comes then is counted and lost. */
const MAX_PENDING = 10_000;
/** Lines that are written together. */
const BATCH = 256;
const RETRY_MS = 1_000;
/** Only its owner may read it. */
const MODE = 0o600;

interface Pending {
  readonly timeMs: number;
  readonly event: string;
  readonly fields: AuditFields;
}

/**
 * A file of chained lines. {@link append} never waits and never throws; what it takes is on the disk (`fdatasync`) a moment
 * later. Lines get their place in the chain as they are written, so one that could not be written is tried again as it was.
 */
export class AuditFile {
  readonly #options: AuditFileOptions;
  readonly #lock: DatabaseSync;
  readonly #pending: Pending[] = [];
  #file: FileHandle | undefined;
  #link: Link;
  /** Bytes of lines that are on the disk; what lies behind them is overwritten. */
  #size: number;
  /** Lost since the last line that says so. */
  #lost = 0;
  #lostEver = 0;
  #failure: string | undefined;
  #writing: Promise<void> | undefined;
  readonly #closing = new AbortController();

  /** Takes the file for this process. @throws {SyncError} `audit_unavailable` */
  constructor(options: AuditFileOptions) {
    const { path } = options;
    this.#options = options;
    let tail: Tail;
    try {
      mkdirSync(dirname(path), { recursive: true });
      this.#lock = lockAudit(path);
      try {
        tail = openTail(path);
      } catch (error) {
        this.#lock.close();
        throw error;
      }
    } catch (error) {
      if (error instanceof SyncError) throw error;
      throw new SyncError('audit_unavailable', `the audit log ${path} cannot be opened: ${messageOf(error)}`, { cause: error });
    }
    this.#link = tail.link;
    this.#size = tail.size;
    if (tail.tornBytes > 0) this.append('torn', { bytes: tail.tornBytes });
  }

  /** The last line that is on the disk. */
  get link(): Link {
    return this.#link;
  }

  /** Events that were lost because the disk took nothing for too long. */
  get lost(): number {
    return this.#lostEver;
  }

  get failure(): string | undefined {
    return this.#failure;
  }

  append(event: string, fields: AuditFields): void {
    if (this.#pending.length >= MAX_PENDING) {
      this.#lost++;
      this.#lostEver++;
      return;
    }
    this.#pending.push({ timeMs: this.#options.clock.wallMs(), event, fields });
    this.#writing ??= this.#writeAll().finally(() => (this.#writing = undefined));
  }

  /** Writes what waits, once more where the disk takes nothing, and gives the file back. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#writing;
    await this.#file?.close().catch(() => {});
    this.#file = undefined;
    this.#lock.close();
  }

  async #writeAll(): Promise<void> {
    while (this.#pending.length > 0) {
      try {
        await this.#writeBatch();
        this.#tell(undefined);
      } catch (error) {
        // A file that fails may be a file that is gone: it is opened anew.
        await this.#file?.close().catch(() => {});
        this.#file = undefined;
        this.#tell(messageOf(error));
        if (this.#closing.signal.aborted) return;
        await sleep(this.#options.clock, RETRY_MS, this.#closing.signal);
      }
    }
  }

  async #writeBatch(): Promise<void> {
    const { path, maxBytes } = this.#options;
    await this.#lookAfter();
    if (this.#size > 0 && this.#size + MAX_LINE_BYTES > maxBytes) await this.#rotate();
    let { hash, seq } = this.#link;
    const link = () => ({ hash, seq });
    let text = '';
    const add = ({ timeMs, event, fields }: Pending) => {
      const sealed = sealLine(link(), timeMs, event, fields);
      ({ hash, seq } = sealed.link);
      text += sealed.line;
    };
    const timeMs = this.#options.clock.wallMs();
    // Each file can be verified alone: its first line names the hash that it goes on from.
    if (this.#size === 0) add({ timeMs, event: 'file', fields: { previous: hash } });
    const lost = this.#lost;
    if (lost > 0) add({ timeMs, event: 'lost', fields: { count: lost } });
    let count = 0;
    while (count < Math.min(this.#pending.length, BATCH) && this.#size + text.length < maxBytes) add(this.#pending[count++] as Pending);

    this.#file ??= await open(path, this.#size === 0 ? 'w' : 'r+', MODE);
    const bytes = Buffer.from(text);
    for (let written = 0; written < bytes.length;) {
      written += (await this.#file.write(bytes, written, bytes.length - written, this.#size + written)).bytesWritten;
    }
    await this.#file.datasync();
    this.#size += bytes.length;
    this.#link = link();
    this.#lost -= lost;
    this.#pending.splice(0, count);
  }

  /** Others may move the file away, empty it or put another in its place: then the chain goes on there, and shows it. */
  async #lookAfter(): Promise<void> {
    const found = await stat(this.#options.path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw error;
    });
    if (found?.isFile() === false) throw new Error(`${this.#options.path} is no file (EISDIR)`);
    const isGone = found === undefined || found.size < this.#size;
    const isOther = found !== undefined && this.#file !== undefined && found.ino !== (await this.#file.stat()).ino;
    if (!isGone && !isOther) return;
    await this.#file?.close();
    this.#file = undefined;
    // What is left of a file that was cut is evidence, and stays where it shows.
    if (isGone && found !== undefined && found.size > 0) renameSync(this.#options.path, fullFile(this.#options.path, this.#link.seq));
    this.#size = isGone ? 0 : found.size;
  }

  async #rotate(): Promise<void> {
    const { path, maxFiles } = this.#options;
    await this.#file?.close();
    this.#file = undefined;
    renameSync(path, fullFile(path, this.#link.seq));
    this.#size = 0;
    const full = fullFilesOf(path);
    for (const old of full.slice(0, Math.max(0, full.length - maxFiles))) rmSync(old);
  }

  #tell(failure: string | undefined): void {
    if (failure === this.#failure) return;
    const changed = (failure === undefined) !== (this.#failure === undefined);
    this.#failure = failure;
    if (changed) this.#options.troubled(failure);
  }
}
