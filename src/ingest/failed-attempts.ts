import type { Clock } from '../core/clock.ts';
import type { Random } from '../core/random.ts';
import { networkOf } from './address-ranges.ts';

/** Somebody who was not let in. */
export interface Refusal {
  /**
   * - `no_token`, `unknown_token`: nothing that is known was shown.
   * - `unlisted_producer`: the token is right, and its producer is not among those of the configuration.
   * - `address`: who it is may not come from there, or nobody may.
   * - `certificate`: it is another producer's than the token, or that of several.
   */
  readonly reason: 'no_token' | 'unknown_token' | 'unlisted_producer' | 'address' | 'certificate';
  readonly address: string;
  /** What the token that was shown calls itself; not known to be true. */
  readonly claimedId: string | undefined;
  /** Who it would have been. */
  readonly producer: string | undefined;
}

export interface FailedAttemptsOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Told of each one, at once. */
  readonly onRefused: (refusal: Refusal) => void;
}

/** A first failure is answered after this time; its random part hides how long the answer took to find. */
const DELAY_MS = { least: 100, most: 500 };
/** After so many failures the delay doubles, and again after as many more. */
const FAILURES_PER_DOUBLING = 10;
/** 4 s at most: below the 5 s after which clients and doors give up. */
const MAX_DOUBLINGS = 3;
/** Failures older than this do not count. */
const FORGET_MS = 60_000;
const MAX_REMEMBERED = 4_096;
/** Answers that wait at a time: there is a timer, and mostly a connection, behind each. */
const MAX_WAITING = 512;

interface Failures {
  count: number;
  lastMs: number;
}

/**
 * Makes guessing tokens slow: answers to refused peers wait, and the longer the more of them an address, or what claims to
 * be one token, has had. Nobody who shows a right token ever waits, so that no attacker can keep others out.
 */
export class FailedAttempts {
  readonly #options: FailedAttemptsOptions;
  /** By address and by claimed token, the least recent first. */
  readonly #failures = new Map<string, Failures>();
  /** By address: ends the wait of one each, in their order. No set is empty. */
  readonly #waiting = new Map<string, Set<() => void>>();
  #waitingCount = 0;

  constructor(options: FailedAttemptsOptions) {
    this.#options = options;
  }

  /** Answers that wait. */
  get waiting(): number {
    return this.#waitingCount;
  }

  /** Counts a failure; resolves when it is time to answer it. */
  refused(refusal: Refusal): Promise<void> {
    const { clock, random, onRefused } = this.#options;
    onRefused(refusal);
    const network = networkOf(refusal.address);
    const byAddress = this.#count(`address ${network}`);
    const byToken = refusal.claimedId === undefined ? 0 : this.#count(`token ${refusal.claimedId}`);
    const doublings = Math.min(MAX_DOUBLINGS, Math.floor((Math.max(byAddress, byToken) - 1) / FAILURES_PER_DOUBLING));
    const delayMs = (DELAY_MS.least + random.fraction() * (DELAY_MS.most - DELAY_MS.least)) * 2 ** doublings;
    // Of those of whom most wait, who has waited longest is answered early, rather than somebody not heard.
    if (this.#waitingCount >= MAX_WAITING) firstOf(this.#mostWaiting())?.();
    return new Promise((resolve) => {
      const waiting = this.#waitingOf(network);
      const end = () => {
        timer.cancel();
        waiting.delete(end);
        this.#waitingCount--;
        if (waiting.size === 0) this.#waiting.delete(network);
        resolve();
      };
      const timer = clock.setTimer(delayMs, end);
      waiting.add(end);
      this.#waitingCount++;
    });
  }

  #waitingOf(network: string): Set<() => void> {
    let waiting = this.#waiting.get(network);
    if (waiting === undefined) this.#waiting.set(network, (waiting = new Set()));
    return waiting;
  }

  #mostWaiting(): ReadonlySet<() => void> {
    let most: ReadonlySet<() => void> = new Set();
    for (const waiting of this.#waiting.values()) if (waiting.size > most.size) most = waiting;
    return most;
  }

  /** Answers everybody now. */
  close(): void {
    for (const end of [...this.#waiting.values()].flatMap((waiting) => [...waiting])) end();
  }

  #count(key: string): number {
    const nowMs = this.#options.clock.monotonicMs();
    const known = this.#failures.get(key);
    const count = known === undefined || nowMs - known.lastMs > FORGET_MS ? 1 : known.count + 1;
    this.#failures.delete(key);
    this.#failures.set(key, { count, lastMs: nowMs });
    if (this.#failures.size > MAX_REMEMBERED) this.#failures.delete(firstOf(this.#failures.keys())!);
    return count;
  }
}

function firstOf<T>(all: Iterable<T>): T | undefined {
  for (const one of all) return one;
  return undefined;
}
