/** Something that is to happen at a time of a {@link Timeline}. */
export interface TimelineEvent {
  /** It does not happen any more, and is passed over. */
  readonly isCancelled: boolean;
  happen(): void;
}

/** A binary heap of events, the earliest first; those of one time in their order. */
export class EventHeap<E> {
  // In columns, so that to compare two of them nothing is fetched but numbers.
  readonly #times: number[] = [];
  readonly #orders: number[] = [];
  readonly #events: E[] = [];

  /** When the first event is due; Infinity when there is none. */
  get firstMs(): number {
    return this.#times.length === 0 ? Infinity : this.#times[0]!;
  }

  push(dueMs: number, order: number, event: E): void {
    let at = this.#times.length;
    this.#times.push(dueMs);
    this.#orders.push(order);
    this.#events.push(event);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#isAfter(parent, dueMs, order)) break;
      this.#move(parent, at);
      at = parent;
    }
    this.#put(at, dueMs, order, event);
  }

  /** Takes the first event; there must be one. */
  shift(): E {
    const first = this.#events[0]!;
    const dueMs = this.#times.pop()!;
    const order = this.#orders.pop()!;
    const event = this.#events.pop()!;
    const { length } = this.#times;
    if (length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= length) break;
      if (child + 1 < length && this.#isAfter(child, this.#times[child + 1]!, this.#orders[child + 1]!)) child++;
      if (this.#isAfter(child, dueMs, order)) break;
      this.#move(child, at);
      at = child;
    }
    this.#put(at, dueMs, order, event);
    return first;
  }

  /** Whether the event at `at` comes after one that is due at `dueMs`. */
  #isAfter(at: number, dueMs: number, order: number): boolean {
    const otherMs = this.#times[at]!;
    return otherMs > dueMs || (otherMs === dueMs && this.#orders[at]! > order);
  }

  #move(from: number, to: number): void {
    this.#put(to, this.#times[from]!, this.#orders[from]!, this.#events[from]!);
  }

  #put(at: number, dueMs: number, order: number, event: E): void {
    this.#times[at] = dueMs;
    this.#orders[at] = order;
    this.#events[at] = event;
  }
}
