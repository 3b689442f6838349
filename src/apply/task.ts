import type { ErrorCode } from '../core/errors.ts';
import type { Lease } from '../core/lease.ts';
import type { Place, StreamId } from '../core/stream.ts';
import type { FetchLimits } from '../queue/queue.ts';
import type { Rejection } from '../sinks/sink.ts';

/**
 * What travels between the scheduler and the threads that run slices: plain data that can be cloned.
 * A task carries everything a slice needs, so any worker may run it.
 */
export interface SliceTask {
  readonly lease: Lease;
  readonly limits: FetchLimits;
  /**
   * Elements stored at or before this time (µs of the queue's clock) have been waited for: every other partition has
   * applied what was stored before them, so a foreign key or a unique index that fails there now fails for good.
   */
  readonly settledAtUs: number;
  /** What producers may write as the slice begins, as `encodeAccess` writes it. */
  readonly access: string;
}

export interface SliceResult {
  /**
   * - `applied`: committed (or nothing was left to commit); trim `count` elements.
   * - `blocked`: the element after the first `count` waits for other partitions; those `count` are committed.
   * - `failed`: nothing was committed, or it is unknown whether; try again later.
   * - `deferred`: nothing was committed, as it does not go together with others; run it again alone.
   */
  readonly outcome: 'applied' | 'blocked' | 'failed' | 'deferred';
  /** Elements at the head of the list that are dealt with. */
  readonly count: number;
  /** Identity of element `count` − 1; undefined when `count` is 0. */
  readonly last: Uint8Array | undefined;
  /** What the queue keeps apart for those elements: for `Queue.trim`. */
  readonly apart: readonly string[];
  /** Whether the list may hold more than was fetched. */
  readonly more: boolean;
  readonly moves: readonly StreamMove[];
  /** Streams to ask again from after this place: an element of theirs left a gap and was dropped. */
  readonly resets: readonly { readonly stream: StreamId; readonly place: Place }[];
  /**
   * Why elements were dropped that are not as they were stored, one text for each. Of some of them not even the stream is
   * known: which clients are to be asked again, the queue's `heal` finds out once they are trimmed.
   */
  readonly damage: readonly string[];
  /** With `blocked`: when the element that waits was stored, µs of the queue's clock. */
  readonly blockedAtUs: number | undefined;
  /** Store time of the newest element that was fetched, µs; 0 when none. */
  readonly fetchedAtUs: number;
  /** Streams whose elements were dropped because the stream may not write here: it expired or has another owner. */
  readonly refused: readonly { readonly stream: StreamId; readonly code: 'stream_expired' | 'stream_owned_by_other' }[];
  /** With `failed`. */
  readonly error: { readonly code: ErrorCode; readonly message: string } | undefined;
  readonly stats: SliceStats;
}

/** How one stream's watermark stood when it was locked and where the commit moved it; equal when it did not move. */
export interface StreamMove {
  readonly stream: StreamId;
  readonly before: Place;
  readonly after: Place;
  readonly rejections: readonly Rejection[];
  /** Whose stream it is, where there are rejections. */
  readonly producer?: string;
}

export interface SliceStats {
  readonly elements: number;
  readonly changes: number;
  readonly bytes: number;
  readonly deadLetters: number;
  readonly fetchMs: number;
  readonly applyMs: number;
  /** Store time of the newest element that was committed, µs; 0 when none. */
  readonly newestStoredAtUs: number;
}

/** Whether a thread that was just started can work. */
export interface WarmUpResult {
  readonly threadId: number;
  readonly failure: { readonly code: ErrorCode; readonly message: string } | undefined;
}

/** Runs slices somewhere: in a pool of threads, or in place. Never rejects for what the world does: see `failed`. */
export interface SliceRunner {
  /** Runs slices of different partitions together; returns a result for each. */
  run(tasks: readonly SliceTask[]): Promise<readonly SliceResult[]>;
  close(): Promise<void>;
}
