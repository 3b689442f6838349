import { CHECK_MS } from '../balancer.ts';
import { isReplaceable } from '../installation.ts';
import type { Simulation } from '../simulation.ts';

const LOOK_MS = 100;
/** How long a node may believe at most in a lease that Redis no longer has. */
const MAX_LEASE_MS = 3_000;
/** After which all nodes have found the primary that the Sentinels, or the nodes of a cluster, agreed upon, when nothing happened since. */
const AGREED_MS = 15_000;
/** Of partition 0, whose holder leads a pair. */
const LEASE = 'syncline:{0}:lease:main';

/**
 * Watches that of a pair no two nodes say at once that they lead, for longer than a check of a balancer takes.
 *
 * Where the lease in Redis goes to another before its time, because somebody deletes it or Redis loses it, the node before
 * may not know until that time is over. Where a server of Redis goes on apart from the others, a node that sees only that one
 * leads, too.
 */
export class Primaries {
  readonly #simulation: Simulation;
  /** The lease as it was seen last. */
  #lease: { readonly text: string; readonly endsAtMs: number } | undefined;
  /** What had happened to Redis when it was looked at last. */
  #upsets = 0;
  /** Until then it would have been in other hands. */
  #excusedUntilMs = 0;
  /** Since when two lead, without excuse. */
  #sinceMs: number | undefined;

  constructor(simulation: Simulation) {
    this.#simulation = simulation;
  }

  start(): void {
    this.#simulation.timeline.every(LOOK_MS, () => this.#look());
  }

  #look(): void {
    const { timeline, nodes, violate } = this.#simulation;
    const { nowMs } = timeline;
    this.#readLease(nowMs);
    const leading = nodes.filter((node) => node.isPrimary);
    if (leading.length < 2 || nowMs < this.#excusedUntilMs) return void (this.#sinceMs = undefined);
    this.#sinceMs ??= nowMs;
    const leaders = leading.map(({ host }) => host.name);
    if (nowMs - this.#sinceMs > CHECK_MS) violate(`${leaders.join(' and ')} both say that they lead, for ${nowMs - this.#sinceMs} ms`);
  }

  #readLease(nowMs: number): void {
    const { installation, servers, troubles } = this.#simulation;
    const redis = servers.group.primaryOf(LEASE);
    const isAgreed = !isReplaceable(installation) || nowMs - (troubles.calmSinceMs(0) ?? nowMs) > AGREED_MS;
    const upsets = servers.group.servers.reduce((sum, server) => sum + server.upsets, 0);
    if (redis.evicts || !isAgreed || upsets !== this.#upsets) this.#excusedUntilMs = nowMs + MAX_LEASE_MS;
    this.#upsets = upsets;
    if (!redis.isServing) return;
    const text = redis.execute(['GET', LEASE]);
    const before = this.#lease;
    const isSame = before !== undefined && text === before.text;
    if (before !== undefined && !isSame && nowMs < before.endsAtMs) this.#excusedUntilMs = Math.max(this.#excusedUntilMs, before.endsAtMs);
    if (text === null) return void (this.#lease = undefined);
    const endsAtMs = nowMs + Number(redis.execute(['PTTL', LEASE]));
    this.#lease = { text: String(text), endsAtMs: isSame ? Math.max(before.endsAtMs, endsAtMs) : endsAtMs };
  }
}
