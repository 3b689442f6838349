import { defer } from './platform.ts';

/**
 * Time as everything but the composition roots sees it, so that the same rules run on real and on virtual time.
 * Durations use {@link Clock.monotonicMs}; {@link Clock.wallMs} is for what people and other machines read.
 */
export interface Clock {
  /** Milliseconds since the Unix epoch; may jump. */
  wallMs(): number;
  /** Milliseconds from an arbitrary start; never goes back. */
  monotonicMs(): number;
  /** Calls `run` once, `delayMs` or later from now. */
  setTimer(delayMs: number, run: () => void): Timer;
  /** Calls `run` after what is ready now has been handled: the end of this turn of the event loop. */
  defer(run: () => void): void;
}

/** A timer that was set; cancelling one that has fired does nothing. */
export interface Timer {
  cancel(): void;
}

/** Real time. A timer that is set keeps the process alive, so whoever sets one cancels it when it closes. */
export const systemClock: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  setTimer(delayMs, run) {
    return new SystemTimer(setTimeout(run, delayMs));
  },
  defer,
};

class SystemTimer implements Timer {
  readonly #handle: ReturnType<typeof setTimeout>;

  constructor(handle: ReturnType<typeof setTimeout>) {
    this.#handle = handle;
  }

  cancel(): void {
    clearTimeout(this.#handle);
  }
}

/** Resolves after `delayMs`, or at once when `signal` is aborted. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const done = () => {
      timer.cancel();
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = clock.setTimer(delayMs, done);
    signal?.addEventListener('abort', done);
  });
}
