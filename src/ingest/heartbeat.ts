import type { Clock, Timer } from '../core/clock.ts';

export interface HeartbeatEvents {
  /** At every look, at least once per interval and a half. */
  beat(): void;
  /** The peer has been silent for a while: ask whether it is there. */
  ping(): void;
  /** The peer has been silent for too long. */
  lost(): void;
}

/** Silence, in heartbeats, after which a peer counts as lost. */
const LOST_AFTER = 2.5;
/** All look at the same so many moments of an interval: asking many idle peers in one turn costs less than waking up for each. */
const STEPS = 100;

/**
 * Watches that a peer is heard: asks after one interval of silence, gives up after two and a half. When this process
 * itself stood still, its peers are asked anew and have as long to answer as ever.
 */
export class Heartbeat {
  readonly #clock: Clock;
  readonly #intervalMs: number;
  readonly #events: HeartbeatEvents;
  #heardAtMs: number;
  /** When the peer was first asked in this silence. */
  #askedAtMs: number | undefined;
  #deaf = false;
  #timer: Timer | undefined;
  #dueMs = 0;

  constructor(clock: Clock, intervalMs: number, events: HeartbeatEvents) {
    this.#clock = clock;
    this.#intervalMs = intervalMs;
    this.#events = events;
    this.#heardAtMs = clock.monotonicMs();
  }

  get heardAtMs(): number {
    return this.#heardAtMs;
  }

  start(): void {
    this.heard();
    this.#arm(this.#intervalMs);
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  heard(): void {
    this.#heardAtMs = this.#clock.monotonicMs();
    this.#askedAtMs = undefined;
  }

  /** We do not read now, so the peer's silence says nothing until {@link listen}. It is still pinged, so that it hears us. */
  stopListening(): void {
    this.#deaf = true;
  }

  listen(): void {
    this.#deaf = false;
    this.heard();
  }

  readonly #check = (): void => {
    const nowMs = this.#clock.monotonicMs();
    const silentMs = nowMs - this.#heardAtMs;
    const isSilent = silentMs >= this.#intervalMs;
    // We stood still, and an answer may wait to be read: ask anew.
    if (nowMs - this.#dueMs >= this.#intervalMs) this.#askedAtMs = undefined;
    if (!isSilent) {
      this.#arm(this.#intervalMs - silentMs);
    } else if (this.#deaf) {
      this.#arm(this.#intervalMs);
    } else {
      this.#askedAtMs ??= nowMs;
      const leftMs = this.#askedAtMs + this.#intervalMs * (LOST_AFTER - 1) - nowMs;
      if (leftMs <= 0) return this.#events.lost();
      this.#arm(Math.min(this.#intervalMs, leftMs));
    }
    this.#events.beat();
    if (isSilent) this.#events.ping();
  };

  #arm(delayMs: number): void {
    const nowMs = this.#clock.monotonicMs();
    const stepMs = this.#intervalMs / STEPS;
    this.#dueMs = Math.ceil((nowMs + delayMs) / stepMs) * stepMs;
    this.#timer = this.#clock.setTimer(this.#dueMs - nowMs, this.#check);
  }
}
