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

/** Watches that a peer is heard: asks after one interval of silence, gives up after two and a half. */
export class Heartbeat {
  readonly #clock: Clock;
  readonly #intervalMs: number;
  readonly #events: HeartbeatEvents;
  #heardAtMs: number;
  #deaf = false;
  #timer: Timer | undefined;

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
    const silentMs = this.#clock.monotonicMs() - this.#heardAtMs;
    const lostAfterMs = this.#intervalMs * LOST_AFTER;
    const isSilent = silentMs >= this.#intervalMs;
    if (!isSilent) this.#arm(this.#intervalMs - silentMs);
    else if (this.#deaf) this.#arm(this.#intervalMs);
    else if (silentMs < lostAfterMs) this.#arm(Math.min(this.#intervalMs, lostAfterMs - silentMs));
    else return this.#events.lost();
    this.#events.beat();
    if (isSilent) this.#events.ping();
  };

  #arm(delayMs: number): void {
    this.#timer = this.#clock.setTimer(delayMs, this.#check);
  }
}
