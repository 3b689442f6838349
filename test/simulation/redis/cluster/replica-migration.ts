import type { KnownNode, Topology } from './topology.ts';

/** How long a master must be without a replica. */
const ORPHANED_MS = 5_000;
/** How many replicas a master keeps: `cluster-migration-barrier`. */
const BARRIER = 1;

/** A replica of a master with several goes to one that has lost its last. */
export class ReplicaMigration {
  readonly #topology: Topology;
  readonly #nowMs: () => number;
  /** Masters that have no replica any more: since when. */
  readonly #orphans = new Map<KnownNode, number>();

  constructor(topology: Topology, nowMs: () => number) {
    this.#topology = topology;
    this.#nowMs = nowMs;
  }

  /** Gives whom this node is to follow from now on, when that is another than now. */
  look(): KnownNode | undefined {
    const { voters, self } = this.#topology;
    const masters = voters.filter(({ health }) => health !== 'fail');
    for (const master of voters) {
      if (master.health === 'fail' || !master.hadReplicas || this.#countOf(master) > 0) this.#orphans.delete(master);
      else if (!this.#orphans.has(master)) this.#orphans.set(master, this.#nowMs());
    }
    if (self.master === undefined) return undefined;
    let most = 0;
    for (const master of masters) most = Math.max(most, this.#countOf(master));
    if (most <= BARRIER || this.#countOf(self.master) < most) return undefined;
    const rich = masters.filter((master) => this.#countOf(master) === most);
    const [first] = rich.flatMap((master) => this.#replicasOf(master)).toSorted((a, b) => (a.id < b.id ? -1 : 1));
    if (first !== self) return undefined;
    return [...this.#orphans].find(([, sinceMs]) => this.#nowMs() - sinceMs > ORPHANED_MS)?.[0];
  }

  #countOf(master: KnownNode): number {
    let count = 0;
    for (const node of this.#topology.nodes) if (node.master === master && node.health !== 'fail') count++;
    return count;
  }

  #replicasOf(master: KnownNode): KnownNode[] {
    return this.#topology.nodes.filter((node) => node.master === master && node.health !== 'fail');
  }
}
