import type { Clock } from '../core/clock.ts';
import { type Connection, NOTICEABLE_BYTES } from '../core/network.ts';

/** Above this nothing that can wait is written; it waits, newest only, until the connection has drained. */
export const HOLD_BACK_BYTES = 64 * 1024;
/** Above this the peer counts as one that does not read. */
export const SLOW_READER_BYTES = 1024 * 1024;

/** What a session sends, with a bound on what waits for a peer that does not read. */
export class Outbox {
  readonly #connection: Connection;
  readonly #clock: Clock;
  readonly #overflowed: () => void;
  #blockedSinceMs: number | undefined;
  #closed = false;

  /** `overflowed` is called when more than {@link SLOW_READER_BYTES} wait. */
  constructor(connection: Connection, clock: Clock, overflowed: () => void) {
    this.#connection = connection;
    this.#clock = clock;
    this.#overflowed = overflowed;
  }

  send(frame: Uint8Array): void {
    if (this.#closed) return;
    this.#connection.write(frame);
    if (this.#connection.bufferedBytes > SLOW_READER_BYTES) this.#overflowed();
  }

  /** Sends an answer to a frame of the peer; false when it is to send no more of those until {@link drained}: it reads nothing. */
  answer(frame: Uint8Array): boolean {
    this.send(frame);
    if (this.#connection.bufferedBytes < NOTICEABLE_BYTES) return true;
    this.#blockedSinceMs ??= this.#clock.monotonicMs();
    return false;
  }

  /** Whether what can wait should wait; {@link drained} tells the end of it. */
  isBlocked(): boolean {
    if (this.#blockedSinceMs !== undefined) return true;
    if (this.#connection.bufferedBytes <= HOLD_BACK_BYTES) return false;
    this.#blockedSinceMs = this.#clock.monotonicMs();
    return true;
  }

  drained(): void {
    this.#blockedSinceMs = undefined;
  }

  /** For how long the peer has left everything unread. */
  blockedMs(): number {
    return this.#blockedSinceMs === undefined ? 0 : this.#clock.monotonicMs() - this.#blockedSinceMs;
  }

  close(): void {
    this.#closed = true;
  }
}
