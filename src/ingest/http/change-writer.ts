import type { Op } from '../../core/change.ts';
import type { ErrorCode, SyncError } from '../../core/errors.ts';

/** How far the changes of a request are when it is answered. */
export type Ack = 'stored' | 'applied';

/** One change of a request. */
export interface RequestChange {
  readonly table: string;
  readonly op: Op;
  readonly row: { readonly [column: string]: unknown };
  /** The key columns; undefined where the server is to know them. */
  readonly key: readonly string[] | undefined;
}

/**
 * What brings the changes of requests into the queue, and keeps them until they are applied. The composition root
 * makes it of clients of its own node, so that the rules of streams exist once.
 */
export interface ChangeWriters {
  /** Why no changes are taken now; undefined while they are. */
  readonly obstacle: SyncError | undefined;
  readonly memory: RequestMemory;
  /**
   * A writer for one request. With `applied` it is alone in its stream, so that what is rejected is its own.
   * @throws {SyncError} when there is none for some time.
   */
  open(producer: string, ack: Ack, signal: AbortSignal): Promise<ChangeWriter>;
  /**
   * A writer for a request that may come again, here or at another node: its stream follows from `producer` and `key`, its
   * batches from its changes, and `digest` goes into each of them. One at a time for each key.
   * @throws {SyncError} `stream_taken_over` while another request has the key.
   */
  openRepeatable(producer: string, key: string, digest: Uint8Array, signal: AbortSignal): Promise<ChangeWriter>;
}

export interface ChangeWriter {
  /** Reads the schema afresh unless it is known what key the table of `change` has; for a change without a key until it is. */
  lookUp(change: RequestChange): Promise<void> | undefined;
  /** Throws what {@link write} would throw; takes nothing. */
  check(change: RequestChange): void;
  /**
   * Takes a change. What is returned, if anything, is to be awaited before the next.
   * @throws {TypeError} that names table and column, for a change that cannot be sent; {@link SyncError} `frame_too_large`.
   */
  write(change: RequestChange): Promise<void> | undefined;
  /**
   * Resolves when everything that was written is as far as `ack` says.
   * @throws {SyncError} when that takes too long, or will never be.
   */
  settle(ack: Ack, signal: AbortSignal): Promise<RejectedChanges>;
  /** Gives the writer back, once. What was written goes on, except of a request that may come again: that goes on when it does. */
  release(): void;
}

/** What was refused for good, as far as it is known. */
export interface RejectedChanges {
  readonly count: number;
  /** The first {@link MAX_REJECTIONS} of them. */
  readonly rejections: readonly ChangeRejection[];
}

export interface ChangeRejection {
  /** Place of the change in its request, from 0. */
  readonly index: number;
  readonly code: ErrorCode | (string & {});
  readonly message: string;
}

export const MAX_REJECTIONS = 1_000;

/** The memory that all requests share. */
export interface RequestMemory {
  /**
   * Takes `bytes` of it, waiting for a while when there is too little; with 0 it waits until there is some.
   * @throws {SyncError} `buffer_full`.
   */
  take(bytes: number, signal: AbortSignal): Promise<void>;
  give(bytes: number): void;
}
