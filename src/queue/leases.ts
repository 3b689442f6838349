import type { Clock } from '../core/clock.ts';
import type { Lease } from '../core/lease.ts';

interface Held {
  readonly token: string;
  readonly holder: string;
  readonly expiresAtMs: number;
}

/** Leases of a queue that one process has to itself: they end with the process. */
export class LeaseTable {
  readonly #clock: Clock;
  /** One per (sink, partition) that was ever leased. */
  readonly #held = new Map<string, Held>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** As {@link Queue.acquire}. */
  acquire(lease: Lease, holder: string, ttlMs: number, steal: 'steal' | 'wait'): string | undefined {
    const key = keyOf(lease);
    const held = this.#held.get(key);
    if (held !== undefined && steal === 'wait' && held.token !== lease.token && held.expiresAtMs > this.#clock.monotonicMs())
      return held.holder;
    this.#held.set(key, { token: lease.token, holder, expiresAtMs: this.#clock.monotonicMs() + ttlMs });
    return undefined;
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
    if (this.holds(lease)) this.#held.delete(keyOf(lease));
  }
}

function keyOf(lease: Lease): string {
  return `${lease.partition} ${lease.sink}`;
}
