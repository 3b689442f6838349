import type { Clock, Timer } from '../core/clock.ts';
import { SyncError } from '../core/errors.ts';
import type { Queue } from '../queue/queue.ts';
import type { Sink } from '../sinks/sink.ts';

export interface RetentionOptions {
  readonly queue: Queue;
  readonly sink: Sink;
  readonly clock: Clock;
  /** Idle time after which a stream is forgotten. */
  readonly days: number;
  readonly logger: { info(fields: object, message: string): void };
}

const INTERVAL_MS = 3_600_000;
const DAY_MS = 86_400_000;
/** Streams forgotten in one turn at most; the rest follows an hour later. */
const STREAMS_PER_TURN = 1_000;

/**
 * Forgets streams that have been idle beyond their retention, once an hour: first the queue's records, then the
 * watermarks. In this order, a stream that the queue still knows always has its watermark. Returns how to stop.
 */
export function startRetention(options: RetentionOptions): () => Promise<void> {
  let timer: Timer;
  let stopped = false;
  let running: Promise<void> = Promise.resolve();
  const arm = () => {
    if (stopped) return;
    timer = options.clock.setTimer(INTERVAL_MS, () => {
      running = forgetIdle(options).catch((error: unknown) => {
        // Whatever is away now is there an hour later.
        if (!(error instanceof SyncError)) throw error;
      });
      void running.then(arm);
    });
  };
  arm();
  return async () => {
    stopped = true;
    timer.cancel();
    await running;
  };
}

/** One turn. Nothing is forgotten while batches wait: one of them might belong to a stream that looks idle. */
export async function forgetIdle({ queue, sink, clock, days, logger }: RetentionOptions): Promise<void> {
  const beforeMs = clock.wallMs() - days * DAY_MS;
  const idle = await sink.idleStreams(beforeMs, STREAMS_PER_TURN);
  if (idle.length === 0 || (await queue.backlog(sink.name)).some(({ count }) => count > 0)) return;
  for (let partition = 0; partition < queue.partitionCount; partition++) await queue.forget(partition, idle);
  await sink.expireStreams(idle, beforeMs);
  logger.info({ streams: idle.length, days }, 'forgot streams that were idle beyond their retention');
}
