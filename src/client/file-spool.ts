import { mkdir, readdir, readFile, rm, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf, SyncError } from '../core/errors.ts';
import { type Place, START, type StreamId } from '../core/stream.ts';
import { readHeader } from '../protocol/frame.ts';
import { type Disk, type DiskFile, nodeDisk } from './disk.ts';
import { appliedMark, emptyReplay, heldFrames, replaySegment, storedMark } from './segment.ts';
import type { Spool, SpooledFrame, SpoolState } from './spool.ts';
import { lockSpool, type SpoolLock } from './spool-lock.ts';

/** A segment is closed when it reaches this size, and deleted when all its frames are applied. */
const SEGMENT_BYTES = 8 * 1024 * 1024;
/** Above this many bytes of files, and this many times what is held, frames of the oldest segment are carried forward. */
const CARRY_ABOVE_BYTES = 4 * SEGMENT_BYTES;
const CARRY_ABOVE_RATIO = 3;
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
}

interface Segment {
  readonly path: string;
  bytes: number;
  /** Frames in it that are not known to be applied, oldest first. */
  held: SpooledFrame[];
}

async function restore(folder: string, disk: Disk, lock: SpoolLock): Promise<Spool> {
  const head = await readHead(folder);
  const names = (await readdir(folder)).filter((name) => SEGMENT_NAME.test(name)).sort();
  if (head === undefined && names.length > 0) {
    throw new SyncError('spool_corrupt', `spool ${folder} has frames and no head.json; restore the folder, or move it away: then the changes in it are not sent`);
  }
  const note = await readFile(join(folder, NOTE), 'utf8').catch(() => undefined);
  if (head === undefined) {
    return new FileSpool({ stream: undefined, assigned: new Map(), held: [], note }, { folder, disk, lock, generation: 0, nextIndex: 1, segments: [] });
  }
  // Files of other generations: a reset that was cut short, or what it replaced.
  const prefix = `${pad(head.generation, 6)}-`;
  for (const name of names) if (!name.startsWith(prefix)) await rm(join(folder, name));
  const current = names.filter((name) => name.startsWith(prefix));
  const indexes = current.map((name) => Number(SEGMENT_NAME.exec(name)![2]));
  const missing = indexes.findIndex((index, i) => index !== indexes[0]! + i);
  if (missing >= 0) {
    throw new SyncError('spool_corrupt', `spool ${folder} lacks the file before ${current[missing]}; restore the folder, or move it away: then the changes in it are not sent`);
  }
  const replay = emptyReplay();
  const segments: Segment[] = [];
  for (const [i, name] of current.entries()) {
    const path = join(folder, name);
    const bytes = await readFile(path);
    const good = replaySegment(replay, path, bytes, i === current.length - 1);
    if (good < bytes.length) await truncate(path, good);
    segments.push({ path, bytes: good, held: [] });
  }
  const held = heldFrames(replay, folder);
  // Which segment a frame lies in is not worth remembering: the newest that may hold it is late to be deleted, never early.
  segments.at(-1)?.held.push(...held);
  const state: SpoolState = { stream: head.stream, assigned: replay.assigned, held, note };
  return new FileSpool(state, { folder, disk, lock, generation: head.generation, nextIndex: (indexes.at(-1) ?? 0) + 1, segments }, replay.applied);
}
