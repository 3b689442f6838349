import type { AdminState } from './state.ts';

/** How long batches may wait in a partition without any being applied before this node counts as not ready. */
export const STALLED_AFTER_MS = 30_000;

/**
 * Why this node should not be given work, for people; empty when it is ready: it can store now, and its partitions make
 * progress.
 */
export function obstacles(state: Pick<AdminState, 'queue' | 'partitions' | 'drain'>): string[] {
  const { duty } = state.drain();
  return duty === 'serving' ? hindrances(state) : [DUTIES[duty], ...hindrances(state)];
}

/** What is in the way of a node, whether or not it is meant to work. */
function hindrances(state: Pick<AdminState, 'queue' | 'partitions'>): string[] {
  const [queue, waiting] = [state.queue(), state.partitions()];
  const found: string[] = [];
  if (queue.held !== undefined) found.push(`the queue accepts nothing: ${queue.held}`);
  if (queue.failure !== undefined) found.push(`the last append failed: ${queue.failure}`);
  for (const { partition, state, detail, stalledMs } of waiting) {
    if (stalledMs < STALLED_AFTER_MS) continue;
    found.push(`partition ${partition} has applied nothing for ${Math.floor(stalledMs / 1000)} s: ${state}${detail && ` (${detail})`}`);
  }
  return found;
}

const DUTIES = {
  draining: 'it is being drained',
  drained: 'it is drained; syncline drain --undo puts it back',
  stopping: 'it is stopping',
} as const;

/**
 * Whether a balancer should send clients here. Of a pair: to the node that leads, ready or not, because no other applies.
 * Else to one that is ready. One that leaves says how long it is it still.
 */
export function isPrimary(state: Pick<AdminState, 'queue' | 'partitions' | 'drain' | 'cluster'>): boolean {
  const cluster = state.cluster();
  if (cluster?.mode === 'standby') return cluster.primary;
  const takesClients = cluster === undefined ? state.drain().duty === 'serving' : cluster.primary;
  return takesClients && hindrances(state).length === 0;
}
