import type { Timer } from '../core/clock.ts';
import type { Lease } from '../core/lease.ts';
import type { FetchLimits } from '../queue/queue.ts';
import type { PartitionState } from './scheduler-events.ts';
import type { SliceResult } from './task.ts';

/** What the scheduler knows of one partition. */
export class PartitionWork {
  readonly partition: number;
  phase: 'unleased' | 'idle' | 'ready' | 'running' | 'delayed' = 'unleased';
  lease: Lease | undefined;
  /** Something may have been appended since the last fetch began. */
  dirty = false;
  /** The queue may have lost elements since it was last looked at. */
  needsHeal = true;
  /** Failures in a row. */
  failureCount = 0;
  /** The next slice takes one element only. */
  small = false;
  /** Up to which store time the next slice's failures are final; with `onlyAt`, only if no partition has advanced since. */
  settled: { readonly upToUs: number; readonly onlyAt: number | undefined } | undefined;
  /** How far all partitions had advanced when the slice began that ended blocked; undefined while another one runs. */
  triedAt: number | undefined;
  /** Since when a change waits for other partitions, and up to which store time elements had been seen then. */
  blocked: { readonly sinceMs: number; readonly upToUs: number } | undefined;
  /** How many elements of those at the head of the list were there already at a time while a change waited. */
  #seen: { readonly sinceMs: number; readonly count: number } | undefined;
  /** When a change was last applied: it may have helped changes of other partitions. */
  helpedAtMs = -Infinity;
  delay: Timer | undefined;
  /** While the lease is about to be given back: called when the slice in flight has ended. */
  yielded: (() => void) | undefined;
  state: PartitionState = 'waiting-for-lease';
  detail = '';

  constructor(partition: number) {
    this.partition = partition;
  }

  limits(usual: FetchLimits): FetchLimits {
    return this.small ? { elements: 1, bytes: usual.bytes } : usual;
  }

  /** Elements at the head are dealt with. */
  passed({ count, stats }: SliceResult, nowMs: number): void {
    if (this.#seen !== undefined) this.#seen = { ...this.#seen, count: this.#seen.count - count };
    if (stats.changes > stats.deadLetters) this.helpedAtMs = nowMs;
  }

  /** The list may no longer be what it was, or how much of it is dealt with is unknown. */
  forgetSeen(): void {
    this.#seen = undefined;
  }

  /** So many elements are in the list now. No slice and no trim may be under way. */
  see(count: number, nowMs: number): void {
    if (this.#seen === undefined || this.#seen.count <= 0) this.#seen = { sinceMs: nowMs, count };
  }

  /**
   * The element at the head, stored at `blockedAtUs`, waits for other partitions, found by a slice that fetched what was stored
   * until `fetchedAtUs`. What was seen in the list before has waited since then: each that waits need not wait anew.
   */
  waits(blockedAtUs: number, fetchedAtUs: number, nowMs: number): { readonly sinceMs: number; readonly upToUs: number } {
    if (this.blocked !== undefined && blockedAtUs <= this.blocked.upToUs) return this.blocked;
    const seen = this.#seen !== undefined && this.#seen.count > 0 ? this.#seen : undefined;
    this.blocked = seen ? { sinceMs: seen.sinceMs, upToUs: blockedAtUs } : { sinceMs: nowMs, upToUs: fetchedAtUs };
    return this.blocked;
  }

  cancelDelay(): void {
    this.delay?.cancel();
    this.delay = undefined;
  }
}
