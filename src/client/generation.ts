import { join } from 'node:path';
import { type Place, START } from '../core/stream.ts';
import { readHeader } from '../protocol/frame.ts';
import type { Disk, DiskFile } from './disk.ts';
import { appliedMark, storedMark } from './segment.ts';
import type { SpooledFrame } from './spool.ts';

/** A segment is closed when it reaches this size, and deleted when all its frames are applied. */
export const SEGMENT_BYTES = 8 * 1024 * 1024;
/** Above this many bytes of files, and this many times what is held, frames of the oldest segment are carried forward. */
const CARRY_ABOVE_BYTES = 4 * SEGMENT_BYTES;
const CARRY_ABOVE_RATIO = 3;

export interface Segment {
  readonly path: string;
  bytes: number;
  /** Frames in it, those that are applied only until the next sweep. */
  held: SpooledFrame[];
}

export interface GenerationState {
  /** Oldest first; none of them is written any more. */
  readonly segments: Segment[];
  readonly nextIndex: number;
  readonly assigned: ReadonlyMap<number, Place>;
  readonly applied: ReadonlyMap<number, Place>;
}

/**
 * The files of one stream in a spool's folder. Its methods run one at a time.
 *
 * Frames go to the end of the newest segment. A stuck partition would keep every segment alive that has one of its
 * frames, so these are carried forward into the newest when the files outgrow what is held.
 */
export class Generation {
  readonly #folder: string;
  readonly #disk: Disk;
  readonly number: number;
  readonly #segments: Segment[];
  #nextIndex: number;
  /** The newest segment's, while it takes frames. */
  #file: DiskFile | undefined;
  /** Whether the file may hold more than its segment says, after a write that failed. */
  #untidy = false;
  readonly #assigned: Map<number, Place>;
  readonly #applied: Map<number, Place>;
  /** Applied places that no mark names yet. */
  readonly #unmarked = new Map<number, Place>();
  #fileBytes = 0;
  #keptBytes = 0;
  #keptFrames = 0;
  #appliedFrames = 0;
  /** Whether a segment was begun since the last look at every frame. */
  #rotated = false;

  constructor(folder: string, disk: Disk, number: number, { segments, nextIndex, assigned, applied }: GenerationState) {
    this.#folder = folder;
    this.#disk = disk;
    this.number = number;
    this.#segments = segments;
    this.#nextIndex = nextIndex;
    this.#assigned = new Map(assigned);
    this.#applied = new Map(applied);
    for (const { bytes, held } of segments) {
      this.#fileBytes += bytes;
      for (const frame of held) this.#keep(frame);
    }
  }

  /** Resolves when the frames are durable; rejects when nothing of them was kept. */
  async append(frames: readonly SpooledFrame[]): Promise<void> {
    const carried = this.#toCarry();
    await this.#write([...(carried ?? []), ...frames]);
    if (carried !== undefined) this.#segments[0]!.held = [];
    for (const frame of frames) {
      this.#keep(frame);
      this.#assigned.set(frame.partition, { seq: frame.seq, crc: frame.crc });
    }
    this.#segments.at(-1)!.held.push(...(carried ?? []), ...frames);
    await this.#sweep();
  }

  applied(partition: number, place: Place): void {
    const before = this.#applied.get(partition)?.seq ?? 0;
    this.#appliedFrames += place.seq - before;
    this.#applied.set(partition, place);
    this.#unmarked.set(partition, place);
  }

  /** Writes what {@link applied} noted, and deletes files that nothing needs any more. */
  async mark(): Promise<void> {
    if (this.#unmarked.size > 0 && this.#segments.length > 0) await this.#write([]);
    await this.#sweep();
  }

  async close(): Promise<void> {
    await this.#file?.close();
    this.#file = undefined;
  }

  async remove(): Promise<void> {
    await this.close();
    for (const { path } of this.#segments) await this.#disk.remove(path);
  }

  /** One group: it becomes durable together. */
  async #write(frames: readonly SpooledFrame[]): Promise<void> {
    const segment = await this.#openSegment();
    const file = this.#file!;
    const parts: Uint8Array[] = [];
    if (segment.bytes === 0) for (const [partition, place] of this.#assigned) parts.push(storedMark(partition, place));
    const first = frames[0];
    if (first !== undefined) parts.push(storedMark(first.partition, { seq: first.seq - 1, crc: readHeader(first.bytes).prev }));
    const marks = segment.bytes === 0 ? new Map(this.#applied) : new Map(this.#unmarked);
    for (const [partition, place] of marks) parts.push(appliedMark(partition, place));
    for (const frame of frames) parts.push(frame.bytes);
    const bytes = Buffer.concat(parts);
    this.#untidy = true;
    try {
      await file.write(bytes, segment.bytes);
      await file.sync();
    } catch (error) {
      // Best effort; it must succeed before the next group is written.
      await this.#tidy(segment, file).catch(() => {});
      throw error;
    }
    this.#untidy = false;
    segment.bytes += bytes.length;
    this.#fileBytes += bytes.length;
    for (const [partition, place] of marks) if (this.#unmarked.get(partition)?.seq === place.seq) this.#unmarked.delete(partition);
  }

  /** The segment that the next group goes to, tidy and open. */
  async #openSegment(): Promise<Segment> {
    const newest = this.#segments.at(-1);
    if (this.#file !== undefined && newest !== undefined) {
      if (this.#untidy) await this.#tidy(newest, this.#file);
      if (newest.bytes < SEGMENT_BYTES) return newest;
      await this.#file.close();
      this.#file = undefined;
    }
    const path = join(this.#folder, segmentName(this.number, this.#nextIndex));
    this.#file = await this.#disk.create(path);
    this.#nextIndex += 1;
    this.#untidy = false;
    this.#rotated = true;
    const segment = { path, bytes: 0, held: [] };
    this.#segments.push(segment);
    return segment;
  }

  async #tidy(segment: Segment, file: DiskFile): Promise<void> {
    await file.truncate(segment.bytes);
    await file.sync();
    this.#untidy = false;
  }

  /** What the oldest segment still holds, when it is time to be rid of it. */
  #toCarry(): SpooledFrame[] | undefined {
    if (this.#segments.length < 2 || this.#fileBytes <= Math.max(CARRY_ABOVE_BYTES, CARRY_ABOVE_RATIO * this.#keptBytes)) return undefined;
    return this.#segments[0]!.held.filter((frame) => this.#isHeld(frame));
  }

  /** Forgets applied frames, when enough of them have come together, and deletes the oldest segments that hold nothing. */
  async #sweep(): Promise<void> {
    if (this.#appliedFrames > 0 && (this.#rotated || this.#appliedFrames * 2 >= this.#keptFrames)) {
      this.#rotated = false;
      this.#keptFrames = 0;
      this.#keptBytes = 0;
      this.#appliedFrames = 0;
      for (const segment of this.#segments) {
        segment.held = segment.held.filter((frame) => this.#isHeld(frame));
        for (const frame of segment.held) this.#keep(frame);
      }
    }
    // Never the newest: it says what was assigned. Only from the oldest on, so that a missing file in between shows.
    while (this.#segments.length > 1 && this.#segments[0]!.held.length === 0) {
      const { path, bytes } = this.#segments[0]!;
      if (this.#segments.at(-1)!.bytes === 0) return;
      await this.#disk.remove(path);
      this.#segments.shift();
      this.#fileBytes -= bytes;
    }
  }

  #keep(frame: SpooledFrame): void {
    this.#keptFrames += 1;
    this.#keptBytes += frame.bytes.length;
  }

  #isHeld(frame: SpooledFrame): boolean {
    return frame.seq > (this.#applied.get(frame.partition) ?? START).seq;
  }
}

export function segmentName(generation: number, index: number): string {
  return `${generationPrefix(generation)}${String(index).padStart(8, '0')}.frames`;
}

export function generationPrefix(generation: number): string {
  return `${String(generation).padStart(6, '0')}-`;
}
