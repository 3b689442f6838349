import type { Clock, Timer } from '../../src/core/clock.ts';

/** Time that stands still until a test moves it. What is deferred runs in {@link settle}, also within {@link advance}. */
export class VirtualClock implements Clock {
  #nowMs = 1_000_000;
  #order = 0;
  readonly #timers = new Set<{ readonly dueMs: number; readonly order: number; readonly run: () => void }>();
  #deferred: (() => void)[] = [];

  wallMs(): number {
    return 1_700_000_000_000 + this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  setTimer(delayMs: number, run: () => void): Timer {
    const timer = { dueMs: this.#nowMs + Math.max(0, delayMs), order: this.#order++, run };
    this.#timers.add(timer);
    return { cancel: () => void this.#timers.delete(timer) };
  }

  defer(run: () => void): void {
    this.#deferred.push(run);
  }

  /** Timers that are set: none when everything has been closed. */
  get timerCount(): number {
    return this.#timers.size;
  }

  /** Runs what is ready now, and what that makes ready, without moving time. */
  async settle(): Promise<void> {
    for (let quiet = 0; quiet < 3;) {
      // Lets promises that are settled already call back.
      await new Promise((resolve) => void setImmediate(resolve));
      const deferred = this.#deferred;
      this.#deferred = [];
      for (const run of deferred) run();
      quiet = deferred.length === 0 ? quiet + 1 : 0;
    }
  }

  /** Moves time by `ms`, stopping at every timer that falls due on the way. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms;
    await this.settle();
    for (let next = this.#next(untilMs); next !== undefined; next = this.#next(untilMs)) {
      this.#timers.delete(next);
      this.#nowMs = Math.max(this.#nowMs, next.dueMs);
      next.run();
      await this.settle();
    }
    this.#nowMs = untilMs;
  }

  #next(untilMs: number) {
    let next: { readonly dueMs: number; readonly order: number; readonly run: () => void } | undefined;
    for (const timer of this.#timers) {
      if (timer.dueMs > untilMs) continue;
      if (next === undefined || timer.dueMs < next.dueMs || (timer.dueMs === next.dueMs && timer.order < next.order)) next = timer;
    }
    return next;
  }
}
