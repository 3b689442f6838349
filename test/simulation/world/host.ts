import type { Clock, Timer } from '../../../src/core/clock.ts';
import type { TimelineEvent } from './event-heap.ts';
import type { Timeline } from './timeline.ts';

/** Wall-clock time at the start of every simulation, ms since the epoch. */
const EPOCH_MS = 1_700_000_000_000;

/**
 * A machine that runs one process: a client, a node, a Redis or a database.
 *
 *     down ──boot──► up ◄──resume/pause──► paused        up | paused ──crash──► down
 *
 * A process lives in its timers and in what the network brings it. A crash drops both; a pause holds both back until
 * {@link resume}, as SIGSTOP, a long garbage collection or a suspended virtual machine do.
 */
export class Host {
  readonly name: string;
  readonly #timeline: Timeline;
  #state: 'up' | 'paused' | 'down' = 'down';
  #pausedMs = 0;
  /** Counts processes. */
  #incarnation = 0;
  /** What fell due while paused. */
  #held: (() => void)[] = [];
  /** Timers and arrivals that the process waits for; for bounds. */
  waitingCount = 0;
  /** How far the wall clock of this machine is off. */
  wallOffsetMs = 0;
  /** Called when the process dies, so that its connections end. */
  readonly onCrash = new Set<() => void>();

  constructor(name: string, timeline: Timeline) {
    this.name = name;
    this.#timeline = timeline;
  }

  get isUp(): boolean {
    return this.#state !== 'down';
  }

  get isRunning(): boolean {
    return this.#state === 'up';
  }

  get isPaused(): boolean {
    return this.#state === 'paused';
  }

  /** Since when it has been paused, ms; undefined when it is not. */
  get pausedSinceMs(): number | undefined {
    return this.isPaused ? this.#pausedMs : undefined;
  }

  /** Starts a process, and returns the clock that it lives by: silent once the process is dead. */
  boot(): Clock {
    if (this.#state !== 'down') throw new Error(`${this.name} runs already`);
    this.#state = 'up';
    this.waitingCount = 0;
    const incarnation = ++this.#incarnation;
    const bootedMs = this.#timeline.nowMs;
    return {
      wallMs: () => Math.round(EPOCH_MS + this.#timeline.nowMs + this.wallOffsetMs),
      monotonicMs: () => this.#timeline.nowMs - bootedMs,
      // As Node.js has it: whole milliseconds, at least one.
      setTimer: (delayMs, run): Timer => this.#timer(Math.max(1, Math.trunc(delayMs)), run, incarnation),
      defer: (run) => void this.#timer(0, run, incarnation),
    };
  }

  /** Gives how to learn later whether the process that is there now still is. */
  process(): () => boolean {
    const incarnation = this.#incarnation;
    return () => this.isUp && incarnation === this.#incarnation;
  }

  crash(): void {
    if (this.#state === 'down') return;
    this.#state = 'down';
    this.#held = [];
    for (const end of [...this.onCrash]) end();
    this.onCrash.clear();
  }

  pause(): void {
    if (this.#state !== 'up') return;
    this.#state = 'paused';
    this.#pausedMs = this.#timeline.nowMs;
  }

  resume(): void {
    if (this.#state !== 'paused') return;
    this.#state = 'up';
    const held = this.#held;
    this.#held = [];
    // In their order, each as an event of its own.
    for (const run of held) this.enter(run);
  }

  /**
   * Runs `run` in the process that is there now, as an event of its own; later when it is paused, never when it has died
   * by then.
   */
  enter(run: () => void): void {
    this.#timer(0, run);
  }

  /** As {@link enter}, always for the process that is there at the call. */
  entry(): (run: () => void) => void {
    const incarnation = this.#incarnation;
    return (run) => void this.#timer(0, run, incarnation);
  }

  #timer(delayMs: number, run: () => void, incarnation = this.#incarnation): Timer {
    if (incarnation === this.#incarnation) this.waitingCount++;
    const timer = new ProcessTimer(incarnation, run, this.#due, this.#ended);
    this.#timeline.add(delayMs, timer);
    return timer;
  }

  readonly #due = (timer: ProcessTimer): void => {
    if (timer.isCancelled || this.#state === 'down' || this.#incarnation !== timer.incarnation) return;
    if (this.#state === 'paused') return void this.#held.push(() => this.#due(timer));
    const run = timer.run!;
    timer.cancel();
    run();
  };

  readonly #ended = (incarnation: number): void => {
    if (incarnation === this.#incarnation) this.waitingCount--;
  };
}

/** A timer of one process, or something that is on its way to it. */
class ProcessTimer implements Timer, TimelineEvent {
  readonly incarnation: number;
  run: (() => void) | undefined;
  readonly #onDue: (timer: ProcessTimer) => void;
  readonly #onEnd: (incarnation: number) => void;
  /** Or it has fired. */
  isCancelled = false;

  constructor(incarnation: number, run: () => void, onDue: (timer: ProcessTimer) => void, onEnd: (incarnation: number) => void) {
    this.incarnation = incarnation;
    this.run = run;
    this.#onDue = onDue;
    this.#onEnd = onEnd;
  }

  happen(): void {
    this.#onDue(this);
  }

  cancel(): void {
    if (this.isCancelled) return;
    this.isCancelled = true;
    // It stays on the timeline until it would have been due, and need not keep what it would have seen.
    this.run = undefined;
    this.#onEnd(this.incarnation);
  }
}
