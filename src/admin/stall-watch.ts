import type { Clock } from '../core/clock.ts';

/** What one reading of a partition's backlog says. */
export interface BacklogReading {
  readonly count: number;
  /** Store time of the head; undefined when the list is empty. */
  readonly headStoredAtUs: number | undefined;
}

/**
 * Tells for how long the batches of each partition have been waiting without any being applied. Another node's progress
 * counts too: the head of the list changes.
 */
export class StallWatch {
  readonly #clock: Clock;
  /** By partition: since when its head is what it is; undefined while nothing waits. */
  readonly #heads: ({ readonly storedAtUs: number | undefined; readonly sinceMs: number } | undefined)[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Takes a reading of all partitions; index = partition. */
  read(backlog: readonly BacklogReading[]): void {
    for (const [partition, { count, headStoredAtUs }] of backlog.entries()) {
      const known = this.#heads[partition];
      if (count === 0) this.#heads[partition] = undefined;
      else if (known === undefined || known.storedAtUs !== headStoredAtUs) {
        this.#heads[partition] = { storedAtUs: headStoredAtUs, sinceMs: this.#clock.monotonicMs() };
      }
    }
  }

  /** Something of `partition` was applied here. */
  advanced(partition: number): void {
    const known = this.#heads[partition];
    if (known !== undefined) this.#heads[partition] = { ...known, sinceMs: this.#clock.monotonicMs() };
  }

  stalledMs(partition: number): number {
    const known = this.#heads[partition];
    return known === undefined ? 0 : this.#clock.monotonicMs() - known.sinceMs;
  }
}
