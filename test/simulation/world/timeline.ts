/** An event that is due; see {@link Timeline.at}. */
class Entry {
  readonly dueMs: number;
  readonly order: number;
  run: (() => void) | undefined;

  constructor(dueMs: number, order: number, run: () => void) {
    this.dueMs = dueMs;
    this.order = order;
    this.run = run;
  }

  cancel(): void {
    this.run = undefined;
  }
}

/** More than this at one time, and something runs in circles. */
const MAX_EVENTS_AT_ONCE = 100_000;
/** How many events run in one turn of the event loop. */
const EVENTS_PER_TURN = 500;

/**
 * Virtual time: what is due runs in its order, one event after the other, and between two of them every promise that is
 * settled has called back. Nothing in a simulation reads the time or waits for anything elsewhere, so a seed decides all.
 */
export class Timeline {
  nowMs = 0;
  /** Events that have run. */
  eventCount = 0;
  /** Events since time moved last. */
  #eventsNow = 0;
  #order = 0;
  /** A binary heap, the earliest first. */
  readonly #heap: Entry[] = [];

  /** Runs `run` once, `delayMs` from now; events of one time run in the order in which they were asked for. */
  at(delayMs: number, run: () => void): { cancel(): void } {
    const entry = new Entry(this.nowMs + Math.max(0, delayMs), this.#order++, run);
    this.#push(entry);
    return entry;
  }

  /** Runs `run` every `everyMs`, for the first time after as much. */
  every(everyMs: number, run: () => void): void {
    this.at(everyMs, () => {
      run();
      this.every(everyMs, run);
    });
  }

  /** Runs what is due until `untilMs`, or until `isDone` says so; then `nowMs` is there. */
  async run(untilMs: number, isDone: () => boolean = () => false): Promise<void> {
    let failure: { readonly error: unknown } | undefined;
    await new Promise<void>((resolve) => {
      let isOver = false;
      const step = () => {
        if (isOver) return;
        try {
          isOver = isDone() || !this.#runNext(untilMs);
        } catch (error) {
          failure = { error };
          isOver = true;
        }
        if (isOver) resolve();
      };
      // Node.js settles every promise between two immediates. Many at once, since the event loop's own turn costs more than an event.
      const turn = () => {
        if (isOver) return;
        for (let i = 0; i < EVENTS_PER_TURN; i++) setImmediate(step);
        setImmediate(turn);
      };
      setImmediate(turn);
    });
    if (failure !== undefined) throw failure.error;
    if (!isDone()) this.nowMs = Math.max(this.nowMs, untilMs);
  }

  /** Runs the next event; false when none is due until `untilMs`. */
  #runNext(untilMs: number): boolean {
    for (;;) {
      const next = this.#heap[0];
      if (next === undefined || next.dueMs > untilMs) return false;
      this.#pop();
      if (next.run === undefined) continue;
      if (next.dueMs > this.nowMs) {
        this.nowMs = next.dueMs;
        this.#eventsNow = 0;
      } else if (++this.#eventsNow > MAX_EVENTS_AT_ONCE) {
        throw new Error(`time stands still at ${this.nowMs} ms`);
      }
      this.eventCount++;
      next.run();
      return true;
    }
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(entry);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(entry, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = entry;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!isBefore(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
  }
}

function isBefore(a: Entry, b: Entry): boolean {
  return a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.order < b.order);
}
