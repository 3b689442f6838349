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
  /** Up to which store time the next slice's failures are final; with `onlyAt`, only if no partition has advanced since. */
  settled: { readonly upToUs: number; readonly onlyAt: number | undefined } | undefined;
  /** How far all partitions had advanced when the slice began that ended blocked; undefined while another one runs. */
  triedAt: number | undefined;
  /** Since when a change waits for other partitions, and up to which store time elements had been seen then. */
  blocked: { readonly sinceMs: number; readonly upToUs: number } | undefined;
  delay: Timer | undefined;
  /** While the lease is about to be given back: called when the slice in flight has ended. */
  yielded: (() => void) | undefined;
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
