import type { Clock, Timer } from '../core/clock.ts';
import { SyncError } from '../core/errors.ts';
import { START, type StreamId, type StreamKind } from '../core/stream.ts';
import type { Queue } from '../queue/queue.ts';
import type { Sink } from '../sinks/sink.ts';

export interface RetentionOptions {
  readonly queue: Queue;
  readonly sink: Sink;
  readonly clock: Clock;
  /** Read at every turn. */
  readonly retention: Retention;
  readonly logger: { info(fields: object, message: string): void };
}

/** Idle time after which a stream is forgotten. */
export interface Retention {
  readonly streamDays: number;
  /** Of a stream that carries an HTTP request: for so long a repetition is known for what it is. */
  readonly requestHours: number;
}

const INTERVAL_MS = 3_600_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;
/** Streams that are looked at together. */
const STREAMS_PER_TURN = 1_000;

/**
 * Forgets streams that have been idle beyond their retention, once an hour: first the queue's records, then the
 * watermarks. In this order, a stream that the queue still knows always has its watermark. Returns how to stop.
 */
export function startRetention(options: RetentionOptions): () => Promise<void> {
  let timer: Timer;
  const stop = new AbortController();
  let running: Promise<void> = Promise.resolve();
  const arm = () => {
    if (stop.signal.aborted) return;
    timer = options.clock.setTimer(INTERVAL_MS, () => {
      running = forgetIdle(options, stop.signal).catch((error: unknown) => {
        // Whatever is away now is there an hour later.
        if (!(error instanceof SyncError)) throw error;
      });
      void running.then(arm);
    });
  };
  arm();
  return async () => {
    stop.abort();
    timer.cancel();
    await running;
  };
}

/** Forgets all that are idle now, some at a time, until `signal` is aborted. A stream of which batches wait is not idle. */
export async function forgetIdle(options: RetentionOptions, signal?: AbortSignal): Promise<void> {
  const { retention, logger } = options;
  const { streamDays, requestHours } = retention;
  const streams = await forgetKind(options, 'client', streamDays * DAY_MS, signal);
  if (streams > 0) logger.info({ streams, days: streamDays }, 'forgot streams that were idle beyond their retention');
  const requests = await forgetKind(options, 'request', requestHours * HOUR_MS, signal);
  if (requests > 0) logger.info({ requests, hours: requestHours }, 'forgot idempotency keys that are beyond their retention');
}

/** Returns how many there were. */
async function forgetKind(options: RetentionOptions, kind: StreamKind, idleMs: number, signal: AbortSignal | undefined): Promise<number> {
  const { sink, clock } = options;
  const beforeMs = clock.wallMs() - idleMs;
  for (let count = 0; ;) {
    const idle = await sink.idleStreams(kind, beforeMs, STREAMS_PER_TURN);
    const forgotten = await forgetSome(options, idle, beforeMs);
    count += forgotten;
    if (forgotten === 0 || idle.length < STREAMS_PER_TURN || signal?.aborted === true) return count;
  }
}

/** Returns how many of `idle` were forgotten. */
async function forgetSome({ queue, sink }: RetentionOptions, idle: readonly StreamId[], beforeMs: number): Promise<number> {
  if (idle.length === 0) return 0;
  const waiting = new Set<StreamId>();
  for (let partition = 0; partition < queue.partitionCount; partition++) {
    const recorded = await queue.streams(partition);
    const here = idle.filter((stream) => recorded.has(stream));
    if (here.length === 0) continue;
    const watermarks = await sink.readWatermarks(partition, here);
    for (const stream of here) if (recorded.get(stream)!.seq > (watermarks.get(stream) ?? START).seq) waiting.add(stream);
  }
  const streams = idle.filter((stream) => !waiting.has(stream));
  if (streams.length === 0) return 0;
  for (let partition = 0; partition < queue.partitionCount; partition++) await queue.forget(partition, streams);
  await sink.expireStreams(streams, beforeMs);
  return streams.length;
}
