import type { SimNode } from '../node/sim-node.ts';
import type { Simulation } from '../simulation.ts';
import { leaseKey } from './watched-redis.ts';

const LOOK_MS = 500;
/** After it stands still so long, its leases have ended, others have taken them, and the database knows it. */
const DEADLINE_MS = 6_000;

/**
 * Watches that a node that stands still, and whose leases others have taken meanwhile, holds nothing in the database. Only
 * while nothing else happens, so that nobody had a reason not to see to it.
 */
export class Takeovers {
  readonly #simulation: Simulation;
  /** Nodes that stand still: since when, and whether they held a lease then. */
  readonly #still = new Map<SimNode, { readonly sinceMs: number; readonly isHolder: boolean }>();

  constructor(simulation: Simulation) {
    this.#simulation = simulation;
  }

  start(): void {
    this.#simulation.timeline.every(LOOK_MS, () => this.#look());
  }

  #look(): void {
    const { timeline, servers, nodes, troubles, violate } = this.#simulation;
    const holders = this.#holders();
    for (const node of nodes) {
      const { name, pausedSinceMs } = node.host;
      if (pausedSinceMs === undefined) {
        this.#still.delete(node);
        continue;
      }
      const known = this.#still.get(node);
      const still = known?.sinceMs === pausedSinceMs ? known : { sinceMs: pausedSinceMs, isHolder: holders.includes(name) };
      this.#still.set(node, still);
      const isCalm = (troubles.calmSinceMs(1) ?? Infinity) <= still.sinceMs;
      if (!isCalm || !still.isHolder || timeline.nowMs - still.sinceMs < DEADLINE_MS || holders.includes(name)) continue;
      // One that is still being opened has no name yet by which it could be found, and no transaction.
      const count = servers.mariadb.holdersFrom(name);
      if (count > 0)
        violate(`${name} stands still and others have its partitions, and ${count} of its connections hold locks in the database`);
    }
  }

  /** Of leases that last, as Redis has them. */
  #holders(): (string | undefined)[] {
    const { servers, partitions } = this.#simulation;
    return Array.from({ length: partitions }, (_, i) => servers.group.primaryOf(leaseKey(i)).leaseOf(i)?.split(' ').at(-1));
  }
}
