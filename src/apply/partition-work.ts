import type { Timer } from '../core/clock.ts';
import type { ErrorCode } from '../core/errors.ts';
import type { Lease } from '../core/lease.ts';
import type { FetchLimits } from '../queue/queue.ts';
import type { PartitionState } from './scheduler-events.ts';
import type { SliceResult } from './task.ts';

/** Partitions whose slices share a transaction at most. */
export const MAX_TOGETHER = 16;
/** For how long a partition keeps to itself after something was in its way; twice as long each time that it soon happens again. */
const APART_MS = 10_000;
const APART_CAP_MS = 600_000;
/** A small slice that takes so long waits for somebody. */
const SLOW_MS = 250;

/** From this try in vain on, one after the other, a slice takes one element. */
const SMALL_FROM_FAILURE = 3;
/** Failures that say nothing about the partition that met them. */
const OF_ALL: ReadonlySet<ErrorCode> = new Set([
  'queue_unavailable',
  'queue_readonly',
  'sink_unavailable',
  'sink_readonly',
  'sink_full',
  'sink_denied',
  'commit_unknown',
]);

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
  /** The element at the head waits for other partitions: the next slice takes no more than that. */
  isWaiting = false;
  /** Since when a change waits for other partitions, and up to which store time elements had been seen then. */
  blocked: { readonly sinceMs: number; readonly upToUs: number } | undefined;
  /** How many elements of those at the head of the list were there already at a time while a change waited. */
  #seen: { readonly sinceMs: number; readonly count: number } | undefined;
  /** The last slice took everything, and it was little. */
  #hasLittle = false;
  #apartUntilMs = -Infinity;
  #apartMs = APART_MS;
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

  /** What the next slice may take when `count` share a transaction: of a list whose head waited no more than that. */
  limits({ elements, bytes }: FetchLimits, count: number): FetchLimits {
    if (this.small || this.isWaiting) return { elements: 1, bytes };
    return { elements: Math.ceil(elements / count), bytes: Math.ceil(bytes / count) };
  }

  /** A slice has ended, which shared its transaction or did not; `limits`: what it may take when it is alone. */
  passed(result: SliceResult, limits: FetchLimits, isShared: boolean, nowMs: number): void {
    const { count, stats, outcome, more, damage, refused, resets } = result;
    if (damage.length > 0 || resets.length > 0) this.forgetSeen();
    if (this.#seen !== undefined) this.#seen = { ...this.#seen, count: this.#seen.count - count };
    if (stats.changes > stats.deadLetters) this.helpedAtMs = nowMs;
    const isLittle = !more && stats.elements * MAX_TOGETHER <= limits.elements && stats.bytes * MAX_TOGETHER <= limits.bytes;
    const isSlow = isLittle && stats.applyMs >= SLOW_MS;
    const isInItsWay = outcome === 'blocked' || stats.deadLetters > 0 || damage.length > 0 || refused.length > 0;
    if (isInItsWay || stats.fetchMs >= SLOW_MS || (isSlow && !isShared)) this.#keepApart(nowMs);
    // Whoever held up a shared transaction shows when each is alone.
    this.#hasLittle = outcome === 'applied' && isLittle && !(isSlow && isShared);
  }

  /** A slice failed, or what comes with it. */
  failed(code: ErrorCode, nowMs: number): void {
    this.failureCount++;
    this.forgetSeen();
    if (!OF_ALL.has(code)) this.#keepApart(nowMs);
    // A slice that ends its thread may do so because of its size; and while the sink is away, there is no use in reading much.
    this.small = code === 'worker_failed' || this.failureCount >= SMALL_FROM_FAILURE;
  }

  /** Whether its slice may share a transaction with others: it is small, as far as can be told, and nothing is in its way. */
  mayShare(nowMs: number): boolean {
    return this.#hasLittle && !this.needsHeal && this.blocked === undefined && this.failureCount === 0 && nowMs >= this.#apartUntilMs;
  }

  /** The queue was out of sight, or other nodes had the partition: anything may have become of its list. */
  distrustList(): void {
    this.forgetSeen();
    this.needsHeal = true;
  }

  /** What was lost is looked for by `look`. Whoever asks for that meanwhile may know of a loss that is not seen there: it is looked for again. */
  async heal(look: () => Promise<'intact' | 'lost'>): Promise<void> {
    this.needsHeal = false;
    try {
      if ((await look()) === 'lost') this.forgetSeen();
    } catch (error) {
      this.needsHeal = true;
      throw error;
    }
  }

  /** The list may no longer be what it was, or how much of it is dealt with is unknown. */
  forgetSeen(): void {
    this.#seen = undefined;
  }

  /** So many elements are in the list now. No slice and no trim may be under way. */
  see(count: number, nowMs: number): void {
    // Fewer than were seen, and what is there now may be others.
    if (this.#seen === undefined || this.#seen.count <= 0 || count < this.#seen.count) this.#seen = { sinceMs: nowMs, count };
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

  /** What happens here is not to trouble others for a while. */
  #keepApart(nowMs: number): void {
    if (nowMs < this.#apartUntilMs) return;
    const isSoon = nowMs - this.#apartUntilMs < this.#apartMs;
    this.#apartMs = isSoon ? Math.min(2 * this.#apartMs, APART_CAP_MS) : APART_MS;
    this.#apartUntilMs = nowMs + this.#apartMs;
  }
}
