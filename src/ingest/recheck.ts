import { type Clock, sleep, type Timer } from '../core/clock.ts';
import { messageOf } from '../core/errors.ts';
import { backoffMs } from '../core/random.ts';
import type { Place, StreamId } from '../core/stream.ts';
import type { Acknowledgements } from './acknowledgements.ts';
import type { IngestContext } from './context.ts';
import type { Credit } from './credit.ts';
import type { Lane } from './lane.ts';
import { mayPass, raiseRecords, type Survey, survey, type Surveyed } from './survey.ts';

export interface RecheckOptions {
  readonly context: IngestContext;
  readonly stream: StreamId;
  readonly producer: string;
  readonly acknowledgements: Acknowledgements;
  readonly credit: Credit;
  /** The session cannot go on. */
  failed(error: unknown): void;
}

/** How often the newest APPLIED is repeated while a client waits for the next. */
const REPEAT_MS = 1_000;
/** How often a session looks afresh while a client waits. */
const LOOK_MS = 5_000;
const RETRY_BASE_MS = 100;
const RETRY_CAP_MS = 5_000;

/**
 * Keeps what a session told its client true: reads afresh how far the sinks and the queue are, and tells the client what
 * it missed or has to send again. It does so after a gap, after every reconnect to the queue, when news of a commit does
 * not join what was told, and every 5 s while the client waits for an APPLIED. REWIND is sent from here only.
 */
export class Recheck {
  readonly #options: RecheckOptions;
  readonly #clock: Clock;
  /** While a look is under way. */
  #looking: AbortController | undefined;
  #isStopped = false;
  #running = false;
  #again = false;
  #timer: Timer | undefined;
  #lookedAtMs = 0;

  constructor(options: RecheckOptions) {
    this.#options = options;
    this.#clock = options.context.clock;
  }

  /** Looks afresh now; when a look is under way, once more after it. */
  request(): void {
    if (this.#running) this.#again = true;
    else void this.#run();
  }

  /** A frame was thrown away. A look that is under way deals with it too. */
  requestRewind(): void {
    if (!this.#running) void this.#run();
  }

  /** The client may be waiting for an APPLIED: from now on that is watched until it is not. */
  watchWaiting(): void {
    if (this.#timer !== undefined || this.#isStopped) return;
    this.#lookedAtMs = this.#clock.monotonicMs();
    this.#timer = this.#clock.setTimer(REPEAT_MS, () => this.#tick());
  }

  stop(): void {
    this.#isStopped = true;
    this.#looking?.abort();
    this.#timer?.cancel();
  }

  #tick(): void {
    const { acknowledgements, context } = this.#options;
    this.#timer = undefined;
    if (this.#isStopped || !acknowledgements.isWaiting) return;
    acknowledgements.repeatApplied(REPEAT_MS);
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - this.#lookedAtMs >= LOOK_MS) {
      this.#lookedAtMs = nowMs;
      for (const lane of acknowledgements.lanes()) {
        if (lane.isWaiting && nowMs - lane.waitingSinceMs >= LOOK_MS) context.onWaiting(lane.partition);
      }
      this.request();
    }
    this.#timer = this.#clock.setTimer(REPEAT_MS, () => this.#tick());
  }

  async #run(): Promise<void> {
    this.#running = true;
    const { signal } = (this.#looking = new AbortController());
    try {
      for (let failureCount = 0; !this.#isStopped;) {
        this.#again = false;
        if (await this.#look()) {
          failureCount = 0;
          if (!this.#again && !this.#options.acknowledgements.owesRewind) break;
        } else {
          failureCount++;
          await sleep(this.#clock, backoffMs(this.#options.context.random, failureCount, RETRY_BASE_MS, RETRY_CAP_MS), signal);
        }
      }
    } catch (error) {
      if (!this.#isStopped) this.#options.failed(error);
    }
    this.#running = false;
    this.#looking = undefined;
  }

  /** False when the sinks or the queue could not be read. */
  async #look(): Promise<boolean> {
    const { context, stream, producer, acknowledgements, credit } = this.#options;
    const before = new Map<number, number>();
    for (const lane of acknowledgements.lanes()) before.set(lane.partition, lane.stored.seq);
    const surveyed = { stream, producer, ...acknowledgements.standing() };
    let result: Survey;
    try {
      result = await survey(context.progress, context.queue, surveyed);
    } catch (error) {
      if (!mayPass(error)) throw error;
      await this.#holdBackBelowFloor(surveyed, error);
      return false;
    }
    if (this.#isStopped) return true;
    credit.release('floor');
    for (const [partition, stored] of result.stored)
      this.#settle(acknowledgements.lane(partition), stored, before.get(partition) ?? 0, result);
    if (acknowledgements.isWaiting) this.watchWaiting();
    return true;
  }

  /** Tells the client how one partition stands now; `storedBefore` is what it had been told when the look began. */
  #settle(lane: Lane, stored: Place, storedBefore: number, result: Survey): void {
    const { acknowledgements } = this.#options;
    acknowledgements.found(lane, result);
    if (stored.seq < lane.applied.seq) {
      // A commit overtook the look, and the floor is above what was read: never ask for what the client may have forgotten.
      this.#again = true;
      return;
    }
    if (stored.seq < storedBefore) {
      acknowledgements.rewind(lane, stored, 'the queue lost what it had stored');
      return;
    }
    const newest = stored.seq > lane.stored.seq ? stored : lane.stored;
    if (lane.thrownAway > newest.seq) {
      // Suppressed until the frame that the last REWIND asked for arrives.
      if (lane.awaited <= newest.seq) acknowledgements.rewind(lane, newest, 'the frame before is missing');
    } else if (newest.seq > lane.stored.seq || lane.thrownAway > 0) {
      acknowledgements.stored(lane, newest);
    }
  }

  /** The floor cannot be read: where the queue is below what the client still holds, frames would be thrown away. */
  async #holdBackBelowFloor(surveyed: Surveyed, cause: unknown): Promise<void> {
    try {
      const stored = await raiseRecords(this.#options.context.queue, surveyed, new Map());
      for (const [partition, { seq }] of stored) {
        if (seq < (surveyed.above.get(partition) ?? 0))
          return this.#options.credit.hold('floor', `waiting for the sink: ${messageOf(cause)}`);
      }
    } catch (error) {
      // The queue is away too, and says so through its admission.
      if (!mayPass(error)) throw error;
    }
  }
}
