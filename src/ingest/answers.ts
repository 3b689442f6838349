import type { Clock, Timer } from '../core/clock.ts';
import { encodeFrame, FRAME } from '../protocol/frame.ts';
import type { Intake } from './intake.ts';
import type { Outbox } from './outbox.ts';

/** A peer has no reason to ask more than now and then; one that asks this often in a second is not read for the next. */
const MAX_PINGS = 50;
const SECOND_MS = 1_000;

/** Answers PINGs, and reads no more of a peer that asks without end or does not read the answers. */
export class Answers {
  readonly #outbox: Outbox;
  readonly #intake: Intake;
  readonly #clock: Clock;
  /** In the second that began then. */
  #count = 0;
  #sinceMs = -Infinity;
  #rest: Timer | undefined;

  constructor(outbox: Outbox, intake: Intake, clock: Clock) {
    this.#outbox = outbox;
    this.#intake = intake;
    this.#clock = clock;
  }

  ping(payload: Uint8Array): void {
    if (!this.#outbox.answer(encodeFrame({ type: FRAME.pong, payload }))) this.#intake.hold('answers');
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - this.#sinceMs >= SECOND_MS) [this.#sinceMs, this.#count] = [nowMs, 0];
    if (++this.#count < MAX_PINGS || this.#rest !== undefined) return;
    this.#intake.hold('pings');
    this.#rest = this.#clock.setTimer(SECOND_MS, () => {
      this.#rest = undefined;
      this.#intake.release('pings');
    });
  }

  /** The connection has taken everything that was written. */
  drained(): void {
    this.#outbox.drained();
    this.#intake.release('answers');
  }

  /** Nothing is sent any more. */
  close(): void {
    this.#outbox.close();
    this.#rest?.cancel();
  }
}
