import type { TimelineEvent } from './event-heap.ts';

/** From so many that have left the front, their room is given back once they are as many as the rest. */
const MIN_LEFT = 32;

/**
 * Events that were all asked for with the same delay, so that each is due after the one before. Most are deadlines that are
 * cancelled; only the first of a lane is in the heap, and the others cost it nothing.
 */
export class Lane {
  readonly delayMs: number;
  #times: number[] = [];
  #orders: number[] = [];
  #events: TimelineEvent[] = [];
  /** Where the first is. */
  #at = 0;

  constructor(delayMs: number) {
    this.delayMs = delayMs;
  }

  get isEmpty(): boolean {
    return this.#at === this.#events.length;
  }

  get firstMs(): number {
    return this.#times[this.#at]!;
  }

  get firstOrder(): number {
    return this.#orders[this.#at]!;
  }

  push(dueMs: number, order: number, event: TimelineEvent): void {
    this.#times.push(dueMs);
    this.#orders.push(order);
    this.#events.push(event);
  }

  /** Takes the first event, and with it those behind it that are cancelled. */
  shift(): TimelineEvent {
    const first = this.#events[this.#at++]!;
    while (this.#at < this.#events.length && this.#events[this.#at]!.isCancelled) this.#at++;
    if (this.#at > MIN_LEFT && 2 * this.#at > this.#events.length) {
      this.#times = this.#times.slice(this.#at);
      this.#orders = this.#orders.slice(this.#at);
      this.#events = this.#events.slice(this.#at);
      this.#at = 0;
    }
    return first;
  }
}
