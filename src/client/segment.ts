import { SyncError } from '../core/errors.ts';
import { type Place, START } from '../core/stream.ts';
import { encodeFrame, FRAME, HEADER_BYTES, type Frame, readFrame } from '../protocol/frame.ts';
import type { SpooledFrame } from './spool.ts';

/**
 * A segment file is a row of plain frames:
 *
 * - BATCH: a frame that is held, as it was sent.
 * - STORED: a mark that names a place that was assigned. A segment begins with one for each partition, and each group of
 *   frames that became durable together begins with one. So a STORED behind a damaged spot says that the spot had been
 *   durable, and no STORED behind it says that the group was being written when the process or the machine died.
 * - APPLIED: a mark that everything up to its place is applied.
 */

export function storedMark(partition: number, { seq, crc }: Place): Uint8Array {
  return encodeFrame({ type: FRAME.stored, partition, seq, prev: crc });
}

export function appliedMark(partition: number, { seq, crc }: Place): Uint8Array {
  return encodeFrame({ type: FRAME.applied, partition, seq, prev: crc });
}

export interface ReplayedFrame extends SpooledFrame {
  /** The number that {@link replaySegment} was given; of the newest copy. */
  readonly segment: number;
  /** Place of the oldest copy that is there among all frames. */
  readonly place: number;
}

/** What segments held together; fill it with {@link replaySegment}, oldest first, then look at {@link heldFrames}. */
export interface Replay {
  readonly assigned: Map<number, Place>;
  readonly applied: Map<number, Place>;
  readonly frames: Map<number, Map<number, ReplayedFrame>>;
  /** Frames so far. */
  count: number;
}

export function emptyReplay(): Replay {
  return { assigned: new Map(), applied: new Map(), frames: new Map(), count: 0 };
}

/** Reads one segment into `replay` and returns how many of its bytes are good: all, but for a `last` one with a torn tail. */
export function replaySegment(replay: Replay, segment: number, path: string, bytes: Buffer, last: boolean): number {
  let at = 0;
  while (at < bytes.length) {
    const frame = frameAt(bytes, at);
    if (frame === undefined || !take(replay, segment, frame)) {
      if (last && !hasMarkBehind(bytes, at)) return at;
      throw new SyncError(
        'spool_corrupt',
        `spool file ${path} is damaged at byte ${at}, where it had been durable; restore the folder, or move it away: then the changes in it are not sent`,
      );
    }
    at += frame.bytes.length;
  }
  return at;
}

/**
 * The frames that are not known to be applied, in the order in which they were made, as far as the files tell: frames that
 * were carried forward stand where they were carried to, but always in order within their partition. Frames below the lowest that is there
 * are applied: a segment is deleted only then.
 * @throws {SyncError} `spool_corrupt` when one is missing in between.
 */
export function heldFrames(replay: Replay, folder: string): ReplayedFrame[] {
  const held: { readonly frame: ReplayedFrame; readonly place: number }[] = [];
  for (const [partition, assigned] of replay.assigned) {
    const applied = replay.applied.get(partition) ?? START;
    const frames = [...(replay.frames.get(partition)?.values() ?? [])].filter((frame) => frame.seq > applied.seq);
    frames.sort((a, b) => a.seq - b.seq);
    let expected = frames[0]?.seq ?? assigned.seq + 1;
    for (const frame of frames) if (frame.seq === expected) expected += 1;
    if (expected !== assigned.seq + 1) {
      throw new SyncError(
        'spool_corrupt',
        `spool ${folder} lacks seq ${expected} of partition ${partition}, though it has others up to ${assigned.seq}; restore the folder, or move it away: then the changes in it are not sent`,
      );
    }
    // One that was carried forward is older than those that follow it in its partition, wherever these stand.
    let place = Infinity;
    const placed = frames.reverse().map((frame) => ({ frame, place: (place = Math.min(place, frame.place)) }));
    held.push(...placed.reverse());
  }
  return held.sort((a, b) => a.place - b.place).map(({ frame }) => frame);
}

function take(replay: Replay, segment: number, frame: Frame): boolean {
  const { type, partition, seq, crc, prev } = frame;
  switch (type) {
    case FRAME.batch: {
      let frames = replay.frames.get(partition);
      if (frames === undefined) replay.frames.set(partition, (frames = new Map<number, ReplayedFrame>()));
      // A copy: else one small frame would keep its whole segment in memory.
      const place = frames.get(seq)?.place ?? replay.count++;
      frames.set(seq, { partition, seq, crc, bytes: Uint8Array.from(frame.bytes), segment, place });
      raise(replay.assigned, partition, { seq, crc });
      return true;
    }
    case FRAME.stored:
      raise(replay.assigned, partition, { seq, crc: prev });
      return true;
    case FRAME.applied:
      raise(replay.applied, partition, { seq, crc: prev });
      return true;
    default:
      return false;
  }
}

function raise(places: Map<number, Place>, partition: number, place: Place): void {
  if (place.seq > (places.get(partition)?.seq ?? -1)) places.set(partition, place);
}

function frameAt(bytes: Buffer, at: number): Frame | undefined {
  if (bytes.length - at < HEADER_BYTES) return undefined;
  const length = bytes.readUInt32BE(at) + 4;
  if (length < HEADER_BYTES || length > bytes.length - at) return undefined;
  try {
    return readFrame(bytes.subarray(at, at + length));
  } catch (error) {
    if (error instanceof SyncError) return undefined;
    throw error;
  }
}

/** Whether a STORED mark lies anywhere behind `at`. */
function hasMarkBehind(bytes: Buffer, at: number): boolean {
  for (let found = bytes.indexOf(MARK_HEAD, at + 1); found >= 0; found = bytes.indexOf(MARK_HEAD, found + 1)) {
    if (frameAt(bytes, found)?.type === FRAME.stored) return true;
  }
  return false;
}

/** The first bytes of every STORED frame: its length, type and flags. */
const MARK_HEAD = storedMark(0, START).subarray(0, 6);
