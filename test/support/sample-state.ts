import type { AdminState, ClusterState, PartitionState } from '../../src/admin/state.ts';

/** A node at work, with nothing in its way. */
export function sampleState(): AdminState {
  return {
    node: 'node-1',
    version: '0.1.0',
    uptimeMs: () => 60_000,
    refresh: () => Promise.resolve(),
    cluster: () => undefined,
    queue: () => ({ kind: 'redis', held: undefined, failure: undefined }),
    partitions: () => [
      samplePartition({ batches: 1, bytes: 100, oldestAgeMs: 20 }),
      samplePartition({ partition: 1, batches: 2, bytes: 200, oldestAgeMs: 1500 }),
    ],
    sessions: () => ({ open: 3, producers: { shop: 2, crm: 1 }, addresses: { '10.0.0.7': 3 } }),
    certificate: () => undefined,
    sinks: () => [{ name: 'main', kind: 'sqlite', guarantee: 'exactly once', failure: undefined }],
    deadLetters: () => Promise.resolve(2),
    drain: () => ({ duty: 'serving', sessions: 3, slices: 0, leases: 2, takenOver: 'nobody' }),
    datagrams: () => undefined,
    config: () => ({ loadedAtMs: 0, waiting: [], failure: undefined }),
    audit: () => undefined,
  };
}

export function samplePartition(fields: Partial<PartitionState>): PartitionState {
  return { partition: 0, state: 'applying', detail: '', batches: 0, bytes: 0, oldestAgeMs: 0, stalledMs: 0, ...fields };
}

/** Of a pair, as the standby sees it. */
export function sampleCluster(fields: Partial<ClusterState> = {}): ClusterState {
  return {
    mode: 'standby',
    primary: false,
    leader: 'node-2',
    members: [
      { name: 'node-1', state: 'ready', version: '0.1.0', admin: '' },
      { name: 'node-2', state: 'ready', version: '0.1.0', admin: '10.0.0.2:9500' },
    ],
    held: [],
    clockDifferenceMs: 3,
    takeovers: 2,
    handovers: 1,
    ...fields,
  };
}
