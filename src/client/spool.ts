import type { Place, StreamId } from '../core/stream.ts';

/**
 * Where a client keeps its frames until they are applied: in memory, or in a folder that survives the process.
 * A frame is durable here before it is sent, and is sent again byte for byte.
 *
 * One call of {@link append}, {@link reset} or {@link remember} runs at a time; a spool may count on that.
 */
export interface Spool {
  /** What was there when the spool was opened. */
  readonly restored: SpoolState;
  /** Resolves when the frames are durable. Rejects when they cannot be kept (disk full): nothing of them was kept. */
  append(frames: readonly SpooledFrame[]): Promise<void>;
  /** Notes that everything up to `place` in `partition` is applied; may be lost in a crash. */
  applied(partition: number, place: Place): void;
  /**
   * Begins a new stream that holds `frames` and forgets everything else, in one step: after a crash there is either
   * what was before or what is after, because frames that are carried over exist nowhere else. `left`: see {@link SpoolState.left}.
   */
  reset(stream: StreamId, frames: readonly SpooledFrame[], left: readonly StreamId[]): Promise<void>;
  /** Keeps a note of the client's own across restarts, until the next one; survives {@link reset}. */
  remember(note: string): Promise<void>;
  close(): Promise<void>;
}

export interface SpoolState {
  /** The stream of the saved frames; undefined in a new spool. */
  readonly stream: StreamId | undefined;
  /** For every partition that the stream ever used: the highest place it assigned. */
  readonly assigned: ReadonlyMap<number, Place>;
  /** Frames that are not known to be applied, oldest first as far as that is known, in order of seq within their partition. */
  readonly held: readonly SpooledFrame[];
  /** The streams before it that the database lacked a part of, the newest first. */
  readonly left: readonly StreamId[];
  /** What {@link Spool.remember} kept last. */
  readonly note: string | undefined;
}

export interface SpooledFrame {
  readonly partition: number;
  readonly seq: number;
  readonly crc: number;
  /** The whole BATCH frame as sent. */
  readonly bytes: Uint8Array;
}
