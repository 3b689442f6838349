import type { Clock } from '../core/clock.ts';
import type { Lease } from '../core/lease.ts';
import type { Acquisition } from './queue.ts';

interface Held {
  readonly token: string;
  readonly holder: string;
  readonly expiresAtMs: number;
}

/** Leases of a queue that one process has to itself: they end with the process. */
export class LeaseTable {
  readonly #clock: Clock;
  /** One per (sink, partition) that was ever leased and not given back. */
  readonly #held = new Map<string, Held>();
  /** Who took it last, likewise. */
  readonly #takers = new Map<string, string>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** As {@link Queue.acquire}. */
  acquire(lease: Lease, holder: string, ttlMs: number, how: 'steal' | 'take' | 'wait'): Acquisition {
    const key = keyOf(lease);
    const held = this.#held.get(key);
    const nowMs = this.#clock.monotonicMs();
    if (held !== undefined && how === 'wait' && held.token !== lease.token && held.expiresAtMs > nowMs)
      return { taken: false, holder: held.holder, leftMs: held.expiresAtMs - nowMs };
    this.#held.set(key, { token: lease.token, holder, expiresAtMs: nowMs + ttlMs });
    if (how === 'steal') return { taken: true, before: undefined };
    const before = this.#takers.get(key);
    this.#takers.set(key, holder);
    return { taken: true, before: before === holder ? undefined : before };
  }

  holds(lease: Lease): boolean {
    const held = this.#held.get(keyOf(lease));
    return held !== undefined && held.token === lease.token && held.expiresAtMs > this.#clock.monotonicMs();
  }

  renew(lease: Lease, ttlMs: number): boolean {
    if (!this.holds(lease)) return false;
    const held = this.#held.get(keyOf(lease)) as Held;
    this.#held.set(keyOf(lease), { ...held, expiresAtMs: this.#clock.monotonicMs() + ttlMs });
    return true;
  }

  release(lease: Lease): void {
    if (!this.holds(lease)) return;
    this.#held.delete(keyOf(lease));
    this.#takers.delete(keyOf(lease));
  }
}

function keyOf(lease: Lease): string {
  return `${lease.partition} ${lease.sink}`;
}
