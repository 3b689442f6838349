import type { ErrorCode } from '../core/errors.ts';
import type { StreamId } from '../core/stream.ts';
import type { Backlog } from '../queue/queue.ts';
import type { SliceResult, StreamMove } from './task.ts';

/** What happens, for acknowledgements, metrics and the log. */
export interface SchedulerEvents {
  moved(partition: number, move: StreamMove): void;
  finished(partition: number, result: SliceResult): void;
  /** One call per change of state, not per retry. */
  stateChanged(partition: number, state: PartitionState, detail: string): void;
  refused(stream: StreamId, code: ErrorCode): void;
  /** Elements were dropped that are not as they were stored; their clients are asked again. At least one reason. */
  damaged(partition: number, reasons: readonly string[]): void;
  backlog(backlog: readonly Backlog[]): void;
}

/** How a partition stands, for people. `elsewhere`: another node applies it. */
export type PartitionState = 'applying' | 'elsewhere' | 'waiting-for-lease' | 'retrying' | 'blocked';
