import type { KnownNode, Topology } from './topology.ts';

const MIN_REJOIN_MS = 500;
const MAX_REJOIN_MS = 5_000;
/** A master that was just started refuses so long at least. */
const AFTER_START_MS = 2_000;

export interface HealthParts {
  readonly topology: Topology;
  readonly timeoutMs: number;
  readonly requiresFullCoverage: boolean;
  nowMs(): number;
  /** Tells all that the majority of the masters does not reach a node. */
  announceFailure(node: KnownNode): void;
}

/** Which nodes work, as one of them believes, and whether it may answer commands on keys itself. */
export class Health {
  readonly #parts: HealthParts;
  readonly #startMs: number;
  #inMinorityMs = -Infinity;
  /** Refuses commands on keys. */
  isDown = true;

  constructor(parts: HealthParts) {
    this.#parts = parts;
    this.#startMs = parts.nowMs();
  }

  /** Looks how long nothing was heard of each node, and whether the cluster works. */
  look(): void {
    const { topology, timeoutMs, nowMs } = this.#parts;
    for (const node of topology.others) {
      if (node.pingSentMs === 0 || node.health !== 'ok') continue;
      if (nowMs() - Math.max(node.pingSentMs, node.heardMs) > timeoutMs) node.health = 'pfail';
    }
    for (const node of topology.others) this.#judge(node);
    this.#decide();
  }

  /** What a master says of a node. */
  reported(by: KnownNode, node: KnownNode, health: KnownNode['health']): void {
    if (by.master !== undefined) return;
    if (health === 'ok') node.reports.delete(by);
    else node.reports.set(by, this.#parts.nowMs());
    this.#judge(node);
  }

  /** It answered. */
  answered(node: KnownNode): void {
    const { topology, timeoutMs, nowMs } = this.#parts;
    if (node.health === 'pfail') node.health = 'ok';
    if (node.health !== 'fail') return;
    // A master with slots is given time, in which a replica of it may be elected.
    const isOrphan = node.master !== undefined || topology.slotsOf(node).length === 0;
    if (isOrphan || nowMs() - node.failedMs > 2 * timeoutMs) node.health = 'ok';
  }

  failed(node: KnownNode): void {
    if (node.health === 'fail' || node === this.#parts.topology.self) return;
    node.health = 'fail';
    node.failedMs = this.#parts.nowMs();
  }

  #judge(node: KnownNode): void {
    const { topology, timeoutMs, nowMs, announceFailure } = this.#parts;
    for (const [by, atMs] of node.reports) if (nowMs() - atMs > 2 * timeoutMs) node.reports.delete(by);
    if (node.health !== 'pfail') return;
    const isVoter = topology.self.master === undefined;
    if (node.reports.size + (isVoter ? 1 : 0) < topology.majority) return;
    this.failed(node);
    if (isVoter) announceFailure(node);
  }

  #decide(): void {
    const { topology, timeoutMs, requiresFullCoverage } = this.#parts;
    const nowMs = this.#parts.nowMs();
    const isMaster = topology.self.master === undefined;
    if (isMaster && this.isDown && nowMs - this.#startMs < AFTER_START_MS) return;
    const reached = topology.voters.filter(({ health }) => health === 'ok').length;
    const isMinority = reached < topology.majority;
    if (isMinority) this.#inMinorityMs = nowMs;
    const isDown = isMinority || (requiresFullCoverage && !topology.isServedWhole);
    // What comes back from a minority lets the others tell it first what has changed.
    const rejoinMs = Math.min(MAX_REJOIN_MS, Math.max(MIN_REJOIN_MS, timeoutMs));
    if (!isDown && isMaster && nowMs - this.#inMinorityMs < rejoinMs) return;
    this.isDown = isDown;
  }
}
