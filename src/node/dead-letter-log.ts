import type { Logger } from '../admin/log.ts';
import type { Clock, Timer } from '../core/clock.ts';

/** Dead letters that come within this time stand in one line: a producer that sends nothing else does not fill the log. */
const GATHER_MS = 1_000;

/** Writes to the log that changes became dead letters, and how many. */
export class DeadLetterLog {
  readonly #clock: Clock;
  readonly #logger: Logger;
  #count = 0;
  #timer: Timer | undefined;

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock;
    this.#logger = logger;
  }

  added(count: number): void {
    if (count === 0) return;
    this.#count += count;
    this.#timer ??= this.#clock.setTimer(GATHER_MS, () => this.flush());
  }

  /** Writes what has been gathered. */
  flush(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#count === 0) return;
    this.#logger.warn({ count: this.#count }, 'changes became dead letters; see syncline dead-letters list');
    this.#count = 0;
  }
}
