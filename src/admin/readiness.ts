import type { PartitionState, QueueState } from './state.ts';

/** How long batches may wait in a partition without any being applied before this node counts as not ready. */
export const STALLED_AFTER_MS = 30_000;

/**
 * Why this node should not be given work, for people; empty when it is ready: it can store now, and its partitions make
 * progress.
 */
export function obstacles(queue: QueueState, partitions: readonly PartitionState[]): string[] {
  const found: string[] = [];
  if (queue.held !== undefined) found.push(`the queue accepts nothing: ${queue.held}`);
  if (queue.failure !== undefined) found.push(`the last append failed: ${queue.failure}`);
  for (const { partition, state, detail, stalledMs } of partitions) {
    if (stalledMs < STALLED_AFTER_MS) continue;
    found.push(`partition ${partition} has applied nothing for ${Math.floor(stalledMs / 1000)} s: ${state}${detail && ` (${detail})`}`);
  }
  return found;
}
