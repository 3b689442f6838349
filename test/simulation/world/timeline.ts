import { EventHeap, type TimelineEvent } from './event-heap.ts';
import { Lane } from './lane.ts';

/** More than this at one time, and something runs in circles. */
const MAX_EVENTS_AT_ONCE = 100_000;
/** How many events run in one turn of the event loop. */
const EVENTS_PER_TURN = 500;
/** Events with longer delays wait in lanes: they are deadlines, and most of them are cancelled. */
const MIN_LANE_MS = 500;

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
  readonly #heap = new EventHeap<TimelineEvent | Lane>();
  /** By their delays; none is empty. */
  readonly #lanes = new Map<number, Lane>();

  /** Runs `run` once, `delayMs` from now; events of one time run in the order in which they were asked for. */
  at(delayMs: number, run: () => void): { cancel(): void } {
    const call = new Call(run);
    this.add(delayMs, call);
    return call;
  }

  /** As {@link at}, for what can be cancelled by itself. */
  add(delayMs: number, event: TimelineEvent): void {
    const dueMs = this.nowMs + Math.max(0, delayMs);
    const order = this.#order++;
    if (delayMs < MIN_LANE_MS || !Number.isInteger(delayMs)) return this.#heap.push(dueMs, order, event);
    const lane = this.#lanes.get(delayMs);
    if (lane !== undefined) return lane.push(dueMs, order, event);
    const opened = new Lane(delayMs);
    this.#lanes.set(delayMs, opened);
    opened.push(dueMs, order, event);
    this.#heap.push(dueMs, order, opened);
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
      const dueMs = this.#heap.firstMs;
      if (dueMs > untilMs || dueMs === Infinity) return false;
      const next = this.#heap.shift();
      const event = next instanceof Lane ? this.#firstOf(next) : next;
      if (event.isCancelled) continue;
      if (dueMs > this.nowMs) {
        this.nowMs = dueMs;
        this.#eventsNow = 0;
      } else if (++this.#eventsNow > MAX_EVENTS_AT_ONCE) {
        throw new Error(`time stands still at ${this.nowMs} ms`);
      }
      this.eventCount++;
      event.happen();
      return true;
    }
  }

  /** Takes the first of a lane whose turn it is, and puts the next one in its place. */
  #firstOf(lane: Lane): TimelineEvent {
    const first = lane.shift();
    if (lane.isEmpty) this.#lanes.delete(lane.delayMs);
    else this.#heap.push(lane.firstMs, lane.firstOrder, lane);
    return first;
  }
}

/** A call that is due; see {@link Timeline.at}. */
class Call implements TimelineEvent {
  #run: (() => void) | undefined;

  constructor(run: () => void) {
    this.#run = run;
  }

  get isCancelled(): boolean {
    return this.#run === undefined;
  }

  happen(): void {
    this.#run!();
  }

  cancel(): void {
    this.#run = undefined;
  }
}
