import { type Clock, sleep } from '../core/clock.ts';
import { SyncError } from '../core/errors.ts';
import type { RequestMemory } from '../ingest/http/change-writer.ts';

/** How long a request waits for memory that others have. */
const PATIENCE_MS = 5_000;
const POLL_MS = 10;

/**
 * The memory that requests share: what they have taken, and what `pendingBytes` says that writers hold for them. Whoever
 * finds nothing taken gets what it asks for, however much that is.
 */
export class SharedMemory implements RequestMemory {
  readonly #maxBytes: number;
  readonly #pendingBytes: () => number;
  readonly #clock: Clock;
  #takenBytes = 0;

  constructor(maxBytes: number, pendingBytes: () => number, clock: Clock) {
    this.#maxBytes = maxBytes;
    this.#pendingBytes = pendingBytes;
    this.#clock = clock;
  }

  get usedBytes(): number {
    return this.#takenBytes + this.#pendingBytes();
  }

  async take(bytes: number, signal: AbortSignal): Promise<void> {
    const since = this.#clock.monotonicMs();
    while (!this.#fits(bytes)) {
      signal.throwIfAborted();
      if (this.#clock.monotonicMs() - since >= PATIENCE_MS) throw bufferFull(this.#maxBytes);
      // Writers do not tell when something is applied; looking is cheap.
      await sleep(this.#clock, POLL_MS, signal);
    }
    this.#takenBytes += bytes;
  }

  give(bytes: number): void {
    this.#takenBytes -= bytes;
  }

  #fits(bytes: number): boolean {
    const { usedBytes } = this;
    return usedBytes === 0 || usedBytes + Math.max(bytes, 1) <= this.#maxBytes;
  }
}

function bufferFull(maxBytes: number): SyncError {
  return new SyncError(
    'buffer_full',
    `HTTP requests hold ${maxBytes} bytes of changes that are not applied yet (listen.web.bufferBytes); try again when the sink has caught up`,
  );
}
