import type { Clock, Timer } from '../core/clock.ts';
import { backoffMs, type Random } from '../core/random.ts';
import type { StreamId } from '../core/stream.ts';
import type { HeldFrame } from './lane.ts';
import type { Spool } from './spool.ts';

/** What the writer tells its owner. */
export interface SpoolWriterListener {
  /** `frames` are durable now and may be sent. */
  durable(frames: readonly HeldFrame[]): void;
  /** The spool cannot keep frames now. They are kept in memory and tried again. */
  troubled(error: unknown): void;
  /** The spool works again after {@link troubled}. */
  recovered(): void;
}

interface Reset {
  readonly stream: StreamId;
  readonly held: HeldFrame[];
  readonly left: readonly StreamId[];
  /** It is durable. */
  done(): void;
}

const RETRY_BASE_MS = 100;
const RETRY_CAP_MS = 5000;

/**
 * Makes frames durable, in order, one call of the spool at a time: what comes meanwhile goes into the next one, so that
 * a slow disk makes larger groups and not a longer queue. Failures are tried again for ever; nothing is dropped.
 */
export class SpoolWriter {
  readonly #spool: Spool;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #listener: SpoolWriterListener;
  #waiting: HeldFrame[] = [];
  /** A new stream that the spool has not begun yet, and everything that it is to hold. */
  #reset: Reset | undefined;
  #note: string | undefined;
  #failures = 0;
  #retry: Timer | undefined;
  #running: Promise<void> | undefined;
  #closed = false;

  constructor(spool: Spool, clock: Clock, random: Random, listener: SpoolWriterListener) {
    this.#spool = spool;
    this.#clock = clock;
    this.#random = random;
    this.#listener = listener;
  }

  append(frame: HeldFrame): void {
    this.#waiting.push(frame);
    this.#run();
  }

  /** Begins `stream` with `held`, which replace everything that was appended before. Resolves when that is durable, perhaps never. */
  reset(stream: StreamId, held: readonly HeldFrame[], left: readonly StreamId[]): Promise<void> {
    return new Promise((done) => {
      this.#reset = { stream, held: [...held], left, done };
      this.#waiting = [];
      this.#run();
    });
  }

  remember(note: string): void {
    this.#note = note;
    this.#run();
  }

  /** Waits for the call that is running; what is still waiting is not written. Does not close the spool. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#retry?.cancel();
    await this.#running;
  }

  #run(): void {
    if (this.#running !== undefined || this.#retry !== undefined || this.#closed) return;
    this.#running = this.#drain().finally(() => {
      this.#running = undefined;
      // Something may have come between the end of the loop and here.
      if (this.#failures === 0 && this.#hasWork()) this.#run();
    });
  }

  #hasWork(): boolean {
    return this.#reset !== undefined || this.#waiting.length > 0 || this.#note !== undefined;
  }

  async #drain(): Promise<void> {
    while (this.#hasWork() && !this.#closed) {
      try {
        await this.#step();
      } catch (error) {
        this.#failed(error);
        return;
      }
      if (this.#failures > 0) {
        this.#failures = 0;
        this.#listener.recovered();
      }
    }
  }

  async #step(): Promise<void> {
    const reset = this.#reset;
    if (reset !== undefined) {
      await this.#spool.reset(reset.stream, reset.held, reset.left);
      // Another reset may have been asked for meanwhile; then this one is of no use any more.
      if (this.#reset !== reset) return;
      this.#reset = undefined;
      this.#listener.durable(reset.held);
      reset.done();
    } else if (this.#waiting.length > 0) {
      const frames = this.#waiting;
      this.#waiting = [];
      try {
        await this.#spool.append(frames);
      } catch (error) {
        // After a reset, the frames live on under other numbers and are part of it.
        if (this.#reset === undefined) this.#waiting = [...frames, ...this.#waiting];
        throw error;
      }
      if (this.#reset === undefined) this.#listener.durable(frames);
    } else if (this.#note !== undefined) {
      const note = this.#note;
      await this.#spool.remember(note);
      if (this.#note === note) this.#note = undefined;
    }
  }

  #failed(error: unknown): void {
    this.#failures += 1;
    this.#listener.troubled(error);
    if (this.#closed) return;
    const delayMs = backoffMs(this.#random, this.#failures, RETRY_BASE_MS, RETRY_CAP_MS);
    this.#retry = this.#clock.setTimer(delayMs, () => {
      this.#retry = undefined;
      this.#run();
    });
  }
}
