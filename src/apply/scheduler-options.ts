import type { Clock } from '../core/clock.ts';
import type { Random } from '../core/random.ts';
import type { FetchLimits, Queue } from '../queue/queue.ts';
import type { Sink } from '../sinks/sink.ts';
import type { LeaseSource } from './lease-source.ts';
import type { SchedulerEvents } from './scheduler-events.ts';
import type { SliceRunner } from './task.ts';

/** What the scheduler of one sink needs; everything it touches is passed in. */
export interface SchedulerOptions {
  readonly queue: Queue;
  /** For reading watermarks when healing; slices have sinks of their own. */
  readonly sink: Sink;
  readonly runner: SliceRunner;
  readonly clock: Clock;
  readonly random: Random;
  readonly leases: LeaseSource;
  readonly limits: FetchLimits;
  /** Transactions in flight at most. */
  readonly maxConcurrency: number;
  /** What producers may write: see `SliceTask.access`. */
  readonly access: string;
  readonly events: SchedulerEvents;
}
