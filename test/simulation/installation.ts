import type { ClusterMode } from '../../src/cluster/member.ts';
import { SeededRandom } from '../support/seeded-random.ts';

/** What a history runs on. */
export interface Installation {
  /** What its nodes are to each other. */
  readonly mode: ClusterMode;
  /** Hosts of the nodes that belong to it; the first is always `node`. */
  readonly nodes: readonly [string, ...string[]];
  /** How far the clock of each node is off, for good. */
  readonly clocksMs?: readonly number[];
  /** How clients find a node: where a balancer sends them, or any of them by chance. */
  readonly entrance: 'balancer' | 'any';
  /** Where Redis is a primary with a replica; undefined where it is one server. */
  readonly sentinels?: {
    /** How many replicas must have what is stored. */
    readonly replicas: number;
    /** How many replicas a primary must have to take writes. */
    readonly minReplicas: number;
  };
  /** Where Redis is a cluster of three masters; undefined where all is on one. */
  readonly cluster?: {
    /** How many replicas must have what is stored. */
    readonly replicas: number;
    /** How many of the masters have a replica. */
    readonly replicated: number;
  };
}

export const ALONE: Installation = { mode: 'standalone', nodes: ['node'], entrance: 'any' };

const PAIR = ['node', 'node-2'] as const;
/** Half of the histories have one node: they are the cheapest. */
const MODES: readonly ClusterMode[] = ['standalone', 'standalone', 'standalone', 'standby', 'standby', 'active'];
/** Sentinels and replica cost as much time as another node. */
const SENTINELS_SHARE = { standalone: 0.05, standby: 0.25, active: 0.25 } as const;
/** How often clocks of nodes are wrong all the time. */
const CLOCKS_OFF_SHARE = 0.25;
const HOUR_MS = 3_600_000;
/** Apart from what else a seed decides. */
const SALT = 0x2545_f491;
/** Apart from that, so that all other histories are what they would be without clusters. */
const CLUSTER_SALT = 0x6c07_8a39;
const CLUSTER_SHARE = 0.015;

/** Draws what a whole history runs on; `on` a cluster in any case. */
export function drawInstallation(seed: number, on?: 'cluster'): Installation {
  const { sentinels, ...rest } = drawNodes(seed);
  const cluster = drawCluster(seed, on === 'cluster' ? 1 : CLUSTER_SHARE);
  if (cluster !== undefined) return { ...rest, cluster };
  return { ...rest, ...(sentinels && { sentinels }) };
}

/** How many replicas must have what is stored. */
export function replicasOf({ sentinels, cluster }: Installation): number {
  return (sentinels ?? cluster)?.replicas ?? 0;
}

/** Whether servers of Redis replace one another. */
export function isReplaceable({ sentinels, cluster }: Installation): boolean {
  return sentinels !== undefined || cluster !== undefined;
}

function drawCluster(seed: number, share: number): Installation['cluster'] {
  const random = new SeededRandom(Math.imul(seed, CLUSTER_SALT));
  if (!random.chance(share)) return undefined;
  const replicas = random.below(2);
  return { replicas, replicated: replicas > 0 ? 3 : random.pick([1, 3, 3]) };
}

function drawNodes(seed: number): Installation {
  const random = new SeededRandom(Math.imul(seed, SALT));
  const mode = random.pick(MODES);
  const entrance = random.pick(['balancer', 'balancer', 'any'] as const);
  const isThree = random.chance(0.5);
  const sentinels = { replicas: random.below(2), minReplicas: random.below(2) };
  const redis = random.chance(SENTINELS_SHARE[mode]) ? { sentinels } : {};
  if (mode === 'standalone') return { ...ALONE, ...redis };
  const nodes = mode === 'active' && isThree ? ([...PAIR, 'node-3'] as const) : PAIR;
  const clocks = random.chance(CLOCKS_OFF_SHARE) ? { clocksMs: nodes.map(() => (random.fraction() * 2 - 1) * HOUR_MS) } : {};
  return { mode, nodes, entrance, ...redis, ...clocks };
}
