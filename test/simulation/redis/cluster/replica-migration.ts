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
      if (!masters.includes(master) || !master.hadReplicas || this.#replicasOf(master).length > 0) this.#orphans.delete(master);
      else if (!this.#orphans.has(master)) this.#orphans.set(master, this.#nowMs());
    }
    const most = Math.max(...masters.map((master) => this.#replicasOf(master).length));
    if (self.master === undefined || most <= BARRIER || this.#replicasOf(self.master).length < most) return undefined;
    const rich = masters.filter((master) => this.#replicasOf(master).length === most);
    const [first] = rich.flatMap((master) => this.#replicasOf(master)).toSorted((a, b) => (a.id < b.id ? -1 : 1));
    if (first !== self) return undefined;
    return [...this.#orphans].find(([, sinceMs]) => this.#nowMs() - sinceMs > ORPHANED_MS)?.[0];
  }

  #replicasOf(master: KnownNode): KnownNode[] {
    return this.#topology.nodes.filter((node) => node.master === master && node.health !== 'fail');
  }
}
