import type { RedisGroup } from '../redis-group.ts';
import type { SimNode } from '../node/sim-node.ts';
import type { Network } from '../world/network.ts';
import type { Timeline } from '../world/timeline.ts';

const LOOK_MS = 500;
/** After it stands still so long, its leases have ended, others have taken them, and the database knows it. */
const DEADLINE_MS = 6_000;

export interface TakeoversParts {
  readonly timeline: Timeline;
  readonly network: Network;
  readonly nodes: readonly SimNode[];
  readonly group: RedisGroup;
  readonly partitions: number;
  /** Since when nothing has happened but one thing that lasts; undefined while that is not so. */
  calmSinceMs(): number | undefined;
  fault(message: string): void;
}

/**
 * Watches that a node that stands still, and whose leases others have taken meanwhile, holds nothing in the database. Only
 * while nothing else happens, so that nobody had a reason not to see to it.
 */
export class Takeovers {
  readonly #parts: TakeoversParts;
  /** Nodes that stand still: since when, and whether they held a lease then. */
  readonly #still = new Map<SimNode, { readonly sinceMs: number; readonly isHolder: boolean }>();

  constructor(parts: TakeoversParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#parts.timeline.at(LOOK_MS, () => {
      this.#look();
      this.start();
    });
  }

  #look(): void {
    const { timeline, network, nodes, calmSinceMs, fault } = this.#parts;
    const holders = this.#holders();
    for (const node of nodes) {
      const { name } = node.host;
      if (!node.host.isPaused) {
        this.#still.delete(node);
        continue;
      }
      const still = this.#still.get(node) ?? { sinceMs: timeline.nowMs, isHolder: holders.includes(name) };
      this.#still.set(node, still);
      const isCalm = (calmSinceMs() ?? Infinity) <= still.sinceMs;
      if (!isCalm || !still.isHolder || timeline.nowMs - still.sinceMs < DEADLINE_MS || holders.includes(name)) continue;
      const count = network.connectionCount('mariadb', name);
      if (count > 0) fault(`${name} stands still and others have its partitions, and the database has ${count} connections of it`);
    }
  }

  /** Of leases that last, as Redis has them. */
  #holders(): (string | undefined)[] {
    const { group, partitions } = this.#parts;
    return Array.from({ length: partitions }, (_, i) => group.primary.leaseOf(i)?.split(' ').at(-1));
  }
}
