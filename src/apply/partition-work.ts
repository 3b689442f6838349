import type { Timer } from '../core/clock.ts';
import type { Lease } from '../core/lease.ts';
import type { FetchLimits } from '../queue/queue.ts';
import type { PartitionState } from './scheduler.ts';

/** What the scheduler knows of one partition. */
export class PartitionWork {
  readonly partition: number;
  phase: 'unleased' | 'idle' | 'ready' | 'running' | 'delayed' = 'unleased';
  lease: Lease | undefined;
  /** Something may have been appended since the last fetch began. */
  dirty = false;
  /** The queue may have lost elements since it was last looked at. */
  needsHeal = true;
  /** Failures in a row. */
  failureCount = 0;
  /** The next slice takes one element only. */
  small = false;
  settledAtUs = 0;
  /** Since when a change waits for other partitions, and up to which store time elements had been seen then. */
  blocked: { readonly sinceMs: number; readonly upToUs: number } | undefined;
  delay: Timer | undefined;
  state: PartitionState = 'waiting-for-lease';
  detail = '';

  constructor(partition: number) {
    this.partition = partition;
  }

  limits(usual: FetchLimits): FetchLimits {
    return this.small ? { elements: 1, bytes: usual.bytes } : usual;
  }

  cancelDelay(): void {
    this.delay?.cancel();
    this.delay = undefined;
  }
}
