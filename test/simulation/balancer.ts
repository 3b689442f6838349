import type { SeededRandom } from '../support/seeded-random.ts';
import type { SimNode } from './node/sim-node.ts';
import type { Timeline } from './world/timeline.ts';

/** How often it asks every node whether clients belong there; how often in a row a node must say no. */
export const CHECK_MS = 500;
const FALL = 2;

/**
 * Sends clients where `/health/primary` said that they belong when it was asked last, and anywhere when no node says so: as
 * a balancer whose view is some checks old.
 */
export class Balancer {
  readonly #timeline: Timeline;
  readonly #nodes: readonly SimNode[];
  /** How often in a row each was no primary. */
  readonly #refusals = new Map<SimNode, number>();

  constructor(timeline: Timeline, nodes: readonly SimNode[]) {
    this.#timeline = timeline;
    this.#nodes = nodes;
  }

  start(): void {
    this.#timeline.every(CHECK_MS, () => {
      for (const node of this.#nodes) this.#refusals.set(node, node.isPrimary ? 0 : (this.#refusals.get(node) ?? FALL) + 1);
    });
  }

  /** The host of a node. */
  pick(random: SeededRandom): string {
    const primaries = this.#nodes.filter((node) => (this.#refusals.get(node) ?? FALL) < FALL);
    return random.pick(primaries.length > 0 ? primaries : this.#nodes).host.name;
  }
}
