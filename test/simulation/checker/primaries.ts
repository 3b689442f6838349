import { CHECK_MS } from '../balancer.ts';
import type { SimNode } from '../node/sim-node.ts';
import type { Timeline } from '../world/timeline.ts';
import type { WatchedRedis } from './watched-redis.ts';

const LOOK_MS = 100;
/** How long a node may believe at most in a lease that Redis no longer has. */
const MAX_LEASE_MS = 3_000;
/** Of partition 0, whose holder leads a pair. */
const LEASE = 'syncline:{0}:lease:main';

/**
 * Watches that of a pair no two nodes say at once that they lead, for longer than a check of a balancer takes. Where the
 * lease in Redis goes to another before its time, because somebody deletes it or Redis loses it, the node before may not
 * know until that time is over.
 */
export class Primaries {
  readonly #timeline: Timeline;
  readonly #nodes: readonly SimNode[];
  readonly #redis: WatchedRedis;
  readonly #fault: (message: string) => void;
  /** The lease as it was seen last. */
  #lease: { readonly text: string; readonly endsAtMs: number } | undefined;
  /** Until then it would have been in other hands. */
  #excusedUntilMs = 0;
  /** Since when two lead, without excuse. */
  #sinceMs: number | undefined;

  constructor(timeline: Timeline, nodes: readonly SimNode[], redis: WatchedRedis, fault: (message: string) => void) {
    this.#timeline = timeline;
    this.#nodes = nodes;
    this.#redis = redis;
    this.#fault = fault;
  }

  start(): void {
    this.#timeline.at(LOOK_MS, () => {
      this.#look();
      this.start();
    });
  }

  #look(): void {
    const { nowMs } = this.#timeline;
    if (this.#redis.isServing) this.#readLease(nowMs);
    const leaders = this.#nodes.filter((node) => node.isPrimary).map(({ host }) => host.name);
    if (leaders.length < 2 || nowMs < this.#excusedUntilMs) return void (this.#sinceMs = undefined);
    this.#sinceMs ??= nowMs;
    if (nowMs - this.#sinceMs > CHECK_MS) this.#fault(`${leaders.join(' and ')} both say that they lead, for ${nowMs - this.#sinceMs} ms`);
  }

  #readLease(nowMs: number): void {
    if (this.#redis.evicts) this.#excusedUntilMs = nowMs + MAX_LEASE_MS;
    const text = this.#redis.execute(['GET', LEASE]);
    const before = this.#lease;
    const isSame = before !== undefined && text === before.text;
    if (before !== undefined && !isSame && nowMs < before.endsAtMs) this.#excusedUntilMs = Math.max(this.#excusedUntilMs, before.endsAtMs);
    if (text === null) return void (this.#lease = undefined);
    const endsAtMs = nowMs + Number(this.#redis.execute(['PTTL', LEASE]));
    this.#lease = { text: String(text), endsAtMs: isSame ? Math.max(before.endsAtMs, endsAtMs) : endsAtMs };
  }
}
