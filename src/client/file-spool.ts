import { assert } from '../core/assert.ts';
import { mkdir, readdir, readFile, rm, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf, SyncError } from '../core/errors.ts';
import { type Place, STREAM_ID, type StreamId } from '../core/stream.ts';
import { type Disk, nodeDisk } from './disk.ts';
import { Generation, generationPrefix, type Segment } from './generation.ts';
import { emptyReplay, heldFrames, replaySegment } from './segment.ts';
import type { Spool, SpooledFrame, SpoolState } from './spool.ts';
import { lockSpool, type SpoolLock } from './spool-lock.ts';

/** Marks that came with no frames to go with are written after this. */
const MARK_DELAY_MS = 200;

/**
 * Opens, or creates, a spool in a folder. Frames survive the death of the process and, as far as the disk keeps its word,
 * of the machine.
 *
 *     head.json                    the stream, and its generation: which files count
 *     note                         what the client remembers
 *     000001-00000007.frames       generation 1, segment 7; see `segment.ts`
 *     lock, owner                  the folder belongs to one process
 *
 * @throws {SyncError} `spool_locked`, `spool_corrupt` or `spool_unavailable`.
 */
export async function openFileSpool(folder: string, disk: Disk = nodeDisk): Promise<Spool> {
  try {
    await mkdir(folder, { recursive: true });
  } catch (error) {
    throw unavailable(folder, error);
  }
  const lock = lockSpool(folder);
  try {
    return await restore(folder, disk, lock);
  } catch (error) {
    lock.release();
    throw error instanceof SyncError ? error : unavailable(folder, error);
  }
}

interface Head {
  readonly version: 1;
  readonly stream: StreamId;
  readonly generation: number;
  /** Absent where there are none, and in those of earlier versions. */
  readonly left?: readonly StreamId[];
}

async function restore(folder: string, disk: Disk, lock: SpoolLock): Promise<Spool> {
  const head = await readHead(folder);
  const names = (await readdir(folder)).filter((name) => SEGMENT_NAME.test(name)).sort();
  if (head === undefined && names.length > 0) {
    throw new SyncError(
      'spool_corrupt',
      `spool ${folder} has frames and no head.json; restore the folder, or move it away: then the changes in it are not sent`,
    );
  }
  const note = await readFile(join(folder, NOTE), 'utf8').catch(() => undefined);
  const places = { folder, disk, lock };
  if (head === undefined) return new FileSpool({ stream: undefined, assigned: new Map(), held: [], left: [], note }, places, undefined);
  // Files of other generations: a reset that was cut short, or what it replaced.
  const prefix = generationPrefix(head.generation);
  for (const name of names) if (!name.startsWith(prefix)) await rm(join(folder, name));
  const current = names.filter((name) => name.startsWith(prefix));
  const indexes = current.map((name) => Number(SEGMENT_NAME.exec(name)![1]));
  const missing = indexes.findIndex((index, i) => index !== indexes[0]! + i);
  if (missing >= 0) {
    throw new SyncError(
      'spool_corrupt',
      `spool ${folder} lacks the file before ${current[missing]}; restore the folder, or move it away: then the changes in it are not sent`,
    );
  }
  const replay = emptyReplay();
  const segments: Segment[] = [];
  for (const [i, name] of current.entries()) {
    const path = join(folder, name);
    const bytes = await readFile(path);
    const good = replaySegment(replay, i, path, bytes, i === current.length - 1);
    if (good < bytes.length) await truncate(path, good);
    segments.push({ path, bytes: good, held: [] });
  }
  const held = heldFrames(replay, folder);
  for (const frame of held) segments[frame.segment]!.held.push(frame);
  const state: SpoolState = { stream: head.stream, assigned: replay.assigned, held, left: head.left ?? [], note };
  const nextIndex = (indexes.at(-1) ?? 0) + 1;
  const { assigned, applied } = replay;
  return new FileSpool(state, places, new Generation(folder, disk, head.generation, { segments, nextIndex, assigned, applied }));
}

interface Places {
  readonly folder: string;
  readonly disk: Disk;
  readonly lock: SpoolLock;
}

class FileSpool implements Spool {
  readonly restored: SpoolState;
  readonly #places: Places;
  /** Undefined until the first {@link reset} of a new spool. */
  #generation: Generation | undefined;
  #newestNumber: number;
  /** Generations that a reset began and could not finish. */
  #superseded: Generation[] = [];
  #markTimer: NodeJS.Timeout | undefined;
  /** The newest work, which waits for what was there before. */
  #work: Promise<unknown> = Promise.resolve();
  #closing: Promise<void> | undefined;

  constructor(restored: SpoolState, places: Places, generation: Generation | undefined) {
    this.restored = restored;
    this.#places = places;
    this.#generation = generation;
    this.#newestNumber = generation?.number ?? 0;
  }

  append(frames: readonly SpooledFrame[]): Promise<void> {
    assert(this.#generation !== undefined, 'a new spool begins with a reset');
    return this.#inOrder(() => this.#generation!.append(frames));
  }

  applied(partition: number, place: Place): void {
    this.#generation?.applied(partition, place);
    this.#markTimer ??= setTimeout(() => {
      this.#markTimer = undefined;
      // Lost marks are harmless: the server says again what is applied.
      this.#inOrder(() => this.#mark()).catch(() => {});
    }, MARK_DELAY_MS).unref();
  }

  reset(stream: StreamId, frames: readonly SpooledFrame[], left: readonly StreamId[]): Promise<void> {
    return this.#inOrder(async () => {
      const { folder, disk } = this.#places;
      this.#newestNumber += 1;
      const next = new Generation(folder, disk, this.#newestNumber, {
        segments: [],
        nextIndex: 1,
        assigned: new Map(),
        applied: new Map(),
      });
      if (frames.length > 0) {
        try {
          await next.append(frames);
        } catch (error) {
          await next.remove().catch(() => {});
          throw error;
        }
      }
      this.#superseded.push(next);
      // From here on the files of the new generation count, and no longer those of the old one. Where this fails, nobody
      // knows which of them do, so neither is deleted before it has succeeded.
      const head: Head = { version: 1, stream, generation: next.number, ...(left.length > 0 ? { left } : {}) };
      await disk.replace(join(folder, HEAD), `${JSON.stringify(head)}\n`);
      const superseded = this.#superseded.filter((one) => one !== next);
      if (this.#generation !== undefined) superseded.push(this.#generation);
      this.#generation = next;
      this.#superseded = [];
      // What cannot be deleted now is when the spool is opened the next time.
      for (const one of superseded) await one.remove().catch(() => {});
    });
  }

  remember(note: string): Promise<void> {
    return this.#inOrder(() => this.#places.disk.replace(join(this.#places.folder, NOTE), note));
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    clearTimeout(this.#markTimer);
    await this.#inOrder(() => this.#mark()).catch(() => {});
    await this.#inOrder(async () => this.#generation?.close()).catch(() => {});
    for (const one of this.#superseded) await one.close().catch(() => {});
    this.#places.lock.release();
  }

  async #mark(): Promise<void> {
    await this.#generation?.mark();
  }

  /** Runs `work` after what was asked for before; failures of the disk become `spool_unavailable`. */
  #inOrder(work: () => Promise<void>): Promise<void> {
    const run = this.#work.then(work).catch((error: unknown) => {
      throw isDiskError(error) ? unavailable(this.#places.folder, error) : error;
    });
    this.#work = run.catch(() => {});
    return run;
  }
}

const HEAD = 'head.json';
const NOTE = 'note';
const SEGMENT_NAME = /^\d{6}-(\d{8})\.frames$/;

async function readHead(folder: string): Promise<Head | undefined> {
  const path = join(folder, HEAD);
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const { version, stream, generation, left = [] } = JSON.parse(text) as Partial<Head>;
    const ids: readonly unknown[] = Array.isArray(left) ? [stream, ...(left as readonly unknown[])] : [];
    const isSound = ids.length > 0 && ids.every((id) => STREAM_ID.test(String(id)));
    if (version === 1 && Number.isSafeInteger(generation) && isSound) {
      return { version, stream: stream!, generation: generation!, left };
    }
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw new SyncError(
    'spool_corrupt',
    `spool file ${path} is damaged or of another version; restore the folder, or move it away: then the changes in it are not sent`,
  );
}

function isDiskError(error: unknown): boolean {
  return (
    error instanceof Error &&
    typeof (error as NodeJS.ErrnoException).code === 'string' &&
    !(error instanceof SyncError) &&
    error.name !== 'AssertionError'
  );
}

function unavailable(folder: string, error: unknown): SyncError {
  return new SyncError('spool_unavailable', `spool ${folder} cannot be read or written: ${messageOf(error)}`, { cause: error });
}
