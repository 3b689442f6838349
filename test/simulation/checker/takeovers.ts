import type { SimNode } from '../node/sim-node.ts';
import type { Simulation } from '../simulation.ts';
import { leaseKey } from './watched-redis.ts';

const LOOK_MS = 500;
/** After it stands still so long, its leases have ended, others have taken them, and the database knows it. */
const DEADLINE_MS = 6_000;

/** The first sets the session up, the second marks the connection. */
const STATEMENTS_OF_MARKED = 2;

/**
 * Watches that a node that stands still, and whose leases others have taken meanwhile, holds nothing in the database. Only
 * while nothing else happens, so that nobody had a reason not to see to it. A connection that was being opened when the
 * node stopped carries no name yet, and nothing is held over it.
 */
export class Takeovers {
  readonly #simulation: Simulation;
  /** Nodes that stand still: since when, and whether they held a lease when that was seen first. */
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
      const { name, pausedSinceMs: sinceMs } = node.host;
      if (sinceMs === undefined) {
        this.#still.delete(node);
        continue;
      }
      const seen = this.#still.get(node);
      // It may have gone on in between, and stopped again.
      const still = seen?.sinceMs === sinceMs ? seen : { sinceMs, isHolder: holders.includes(name) };
      this.#still.set(node, still);
      const isCalm = (troubles.calmSinceMs(1) ?? Infinity) <= still.sinceMs;
      if (!isCalm || !still.isHolder || timeline.nowMs - still.sinceMs < DEADLINE_MS || holders.includes(name)) continue;
      const count = servers.mariadb.connectionCount(name, STATEMENTS_OF_MARKED);
      if (count > 0) violate(`${name} stands still and others have its partitions, and the database has ${count} connections of it`);
    }
  }

  /** Of leases that last, as Redis has them. */
  #holders(): (string | undefined)[] {
    const { servers, partitions } = this.#simulation;
    return Array.from({ length: partitions }, (_, i) => servers.group.primaryOf(leaseKey(i)).leaseOf(i)?.split(' ').at(-1));
  }
}
