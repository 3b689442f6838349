import type { Clock, Timer } from '../core/clock.ts';
import type { ErrorCode } from '../core/errors.ts';
import type { Credit } from './credit.ts';
import type { Intake } from './intake.ts';
import type { ProducerLoad, Rate } from './producer-load.ts';

const CODE: ErrorCode = 'rate_limited';
/** Reading stops for so long at least, so that it does not stop and go by the frame. */
const MIN_HOLD_MS = 250;

/**
 * Holds one connection to the rates of its producer: what came above them is taken all the same, and nothing more is read until
 * that is made up for. The client is told by CREDIT, and may send again when nothing of what it sent meanwhile is left.
 */
export class Pace {
  readonly #clock: Clock;
  readonly #load: ProducerLoad;
  readonly #intake: Intake;
  readonly #credit: Credit;
  readonly #exceeded: (rate: Rate) => void;
  #timer: Timer | undefined;

  /** `exceeded` is called whenever reading stops. */
  constructor(clock: Clock, load: ProducerLoad, intake: Intake, credit: Credit, exceeded: (rate: Rate) => void) {
    this.#clock = clock;
    this.#load = load;
    this.#intake = intake;
    this.#credit = credit;
    this.#exceeded = exceeded;
  }

  /** Counts a frame that was taken. */
  took(bytes: number, changes: number): void {
    this.#load.spend(bytes, changes);
    const owed = this.#load.owed();
    if (owed === undefined || this.#timer !== undefined) return;
    const { rate, ms } = owed;
    const { bytesPerSecond, changesPerSecond } = this.#load.limits;
    const limit = rate === 'bytes' ? bytesPerSecond : changesPerSecond;
    this.#exceeded(rate);
    this.#credit.hold('pace', `${CODE}: producer ${this.#load.producer} may send ${limit} ${rate} per second; send slower`);
    this.#intake.hold('pace');
    this.#timer = this.#clock.setTimer(Math.max(ms, MIN_HOLD_MS), () => this.#goOn());
  }

  stop(): void {
    this.#timer?.cancel();
  }

  #goOn(): void {
    this.#timer = undefined;
    // What waited may be too much again.
    this.#intake.release('pace');
    if (this.#timer === undefined) this.#credit.release('pace');
  }
}
