import type { Level, Outbox } from './outbox.ts';

interface Waiter {
  readonly level: Level;
  readonly order: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** Waits for frames to reach a level. Frames are known by their order, which survives a change of stream. */
export class Flushes {
  readonly #outbox: Outbox;
  #waiters: Waiter[] = [];
  #failed: Error | undefined;

  constructor(outbox: Outbox) {
    this.#outbox = outbox;
  }

  /** Resolves when every frame up to `order` has reached `level`; rejects when `signal` is aborted, or after {@link fail}. */
  wait(level: Level, order: number, signal: AbortSignal | undefined): Promise<void> {
    if (this.#outbox.pendingFrom(level) > order) return Promise.resolve();
    if (this.#failed !== undefined) return Promise.reject(this.#failed);
    return new Promise((resolve, reject) => {
      const done = () => {
        signal?.removeEventListener('abort', aborted);
        this.#waiters = this.#waiters.filter((one) => one !== waiter);
      };
      const aborted = () => {
        done();
        reject(signal!.reason as Error);
      };
      const waiter: Waiter = {
        level,
        order,
        resolve: () => {
          done();
          resolve();
        },
        reject: (error) => {
          done();
          reject(error);
        },
      };
      signal?.addEventListener('abort', aborted);
      this.#waiters.push(waiter);
    });
  }

  /** Frames have reached a level. */
  progressed(): void {
    for (const waiter of this.#waiters) if (this.#outbox.pendingFrom(waiter.level) > waiter.order) waiter.resolve();
  }

  /** Nothing moves any more: whoever waits is told why. */
  fail(error: Error): void {
    this.#failed ??= error;
    for (const waiter of this.#waiters) waiter.reject(error);
  }
}
