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

/** Ends the waits of one address, in their order. */
type Waits = Set<() => void>;

/**
 * Makes guessing tokens slow: answers to refused peers wait, and the longer the more of them an address, or what claims to
 * be one token, has had. Nobody who shows a right token ever waits, so that no attacker can keep others out.
 */
export class FailedAttempts {
  readonly #options: FailedAttemptsOptions;
  /** By address and by claimed token, the least recent first. */
  readonly #failures = new Map<string, Failures>();
  /** By address; none is empty. */
  readonly #waiting = new Map<string, Waits>();
  /** The same by how many wait: those of whom most do are found at once. While anybody waits, the last is not empty. */
  readonly #bySize: Set<Waits>[] = [];
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
    // Of one of those of whom most wait, who has waited longest is answered early, rather than somebody not heard.
    if (this.#waitingCount >= MAX_WAITING) firstOf(firstOf(this.#bySize.at(-1)!)!)!();
    return new Promise((resolve) => {
      const waits = this.#waitsOf(network);
      const end = () => {
        timer.cancel();
        this.#resize(waits, () => waits.delete(end));
        this.#waitingCount--;
        if (waits.size === 0) this.#waiting.delete(network);
        resolve();
      };
      const timer = clock.setTimer(delayMs, end);
      this.#resize(waits, () => waits.add(end));
      this.#waitingCount++;
    });
  }

  #waitsOf(network: string): Waits {
    let waits = this.#waiting.get(network);
    if (waits === undefined) this.#waiting.set(network, (waits = new Set()));
    return waits;
  }

  #resize(waits: Waits, change: () => void): void {
    this.#bySize[waits.size]?.delete(waits);
    change();
    if (waits.size > 0) (this.#bySize[waits.size] ??= new Set()).add(waits);
    while (this.#bySize.at(-1)?.size === 0) this.#bySize.pop();
  }

  /** Answers everybody now. */
  close(): void {
    for (const end of [...this.#waiting.values()].flatMap((waits) => [...waits])) end();
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
