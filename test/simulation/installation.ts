import type { ClusterMode } from '../../src/cluster/member.ts';
import { SeededRandom } from '../support/seeded-random.ts';

/** What the nodes of a history are to each other. */
export interface Installation {
  readonly mode: ClusterMode;
  /** Hosts of the nodes that belong to it; the first is always `node`. */
  readonly nodes: readonly [string, ...string[]];
  /** How clients find a node: where a balancer sends them, or any of them by chance. */
  readonly entrance: 'balancer' | 'any';
}

export const ALONE: Installation = { mode: 'standalone', nodes: ['node'], entrance: 'any' };

const PAIR = ['node', 'node-2'] as const;
/** So many histories of one node, which are the cheapest, of a pair and of several that share the work. */
const MODES: readonly ClusterMode[] = [
  ...Array.from({ length: 5 }, () => 'standalone' as const),
  'standby',
  'standby',
  'standby',
  'active',
  'active',
];
/** Apart from what else a seed decides. */
const SALT = 0x2545_f491;

/** Draws what a whole history runs on. */
export function drawInstallation(seed: number): Installation {
  const random = new SeededRandom(Math.imul(seed, SALT));
  const mode = random.pick(MODES);
  if (mode === 'standalone') return ALONE;
  const entrance = random.pick(['balancer', 'balancer', 'any'] as const);
  return { mode, nodes: mode === 'standby' || random.chance(0.5) ? PAIR : [...PAIR, 'node-3'], entrance };
}
