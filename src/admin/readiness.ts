import type { AdminState } from './state.ts';

/** How long batches may wait in a partition without any being applied before this node counts as not ready. */
export const STALLED_AFTER_MS = 30_000;

/**
 * Why this node should not be given work, for people; empty when it is ready: it can store now, and its partitions make
 * progress.
 */
export function obstacles(state: Pick<AdminState, 'queue' | 'partitions' | 'stopping'>): string[] {
  const found: string[] = [];
  const [queue, partitions] = [state.queue(), state.partitions()];
  if (state.stopping()) found.push('the server is stopping');
  if (queue.held !== undefined) found.push(`the queue accepts nothing: ${queue.held}`);
  if (queue.failure !== undefined) found.push(`the last append failed: ${queue.failure}`);
  for (const { partition, state, detail, stalledMs } of partitions) {
    if (stalledMs < STALLED_AFTER_MS) continue;
    found.push(`partition ${partition} has applied nothing for ${Math.floor(stalledMs / 1000)} s: ${state}${detail && ` (${detail})`}`);
  }
  return found;
}

/**
 * Whether a balancer that has one place to send everybody to should send them here: to the node that leads, ready or not,
 * because no other applies; else to one that is ready.
 */
export function isPrimary(state: Pick<AdminState, 'queue' | 'partitions' | 'stopping' | 'cluster'>): boolean {
  const cluster = state.cluster();
  if (state.stopping() || cluster?.primary === false) return false;
  return cluster?.mode === 'standby' || obstacles(state).length === 0;
}
