/**
 * Composition root of a worker thread: opens a queue reader and a sink of its own, and runs the slices it is given.
 */
import { threadId, workerData } from 'node:worker_threads';
import { schemaRenewal } from './apply/schema-renewal.ts';
import { runSlices, type SliceContext } from './apply/slice.ts';
import type { SliceResult, SliceTask, WarmUpResult } from './apply/task.ts';
import { partitionByOf, type Config } from './config/config.ts';
import { sleep, systemClock } from './core/clock.ts';
import { SyncError } from './core/errors.ts';
import { LARGEST_FRAME_BYTES } from './core/stream.ts';
import { openQueueReader } from './queue/open.ts';
import { openSink } from './sinks/registry.ts';

/** How often idle database connections are used, so that the server's idle timeout ends those of frozen holders only. */
const KEEP_ALIVE_MS = 5_000;
/** A slice stops at its next commit after this time, so that one partition does not keep a thread from the others. */
const SLICE_BUDGET_MS = 2_000;
/** How long a new thread has to reach queue and sink. */
const WARM_UP_MS = 5_000;
const WARM_UP_POLL_MS = 200;

/** What a thread is started with. */
export interface WorkerData {
  readonly config: Config;
  /** Of a node that shares its sink with others. */
  readonly incarnation: string | undefined;
}

const { config, incarnation } = workerData as WorkerData;
const context = openContext();

/** What the pool calls. */
export async function runTask(tasks: readonly SliceTask[]): Promise<SliceResult[]> {
  return runSlices(tasks, await context);
}

/** Reaches queue and sink as the first slice would, so that it is known before there is one whether it can. */
export async function warmUp(): Promise<WarmUpResult> {
  const giveUpMs = systemClock.monotonicMs() + WARM_UP_MS;
  for (;;) {
    try {
      const { queue, sink } = await context;
      await queue.fetch(sink.name, 0, { elements: 1, bytes: 1 });
      await sink.refreshSchema();
      return { threadId, failure: undefined };
    } catch (error) {
      if (!(error instanceof SyncError)) throw error;
      // The connection to the queue is made in the background.
      if (systemClock.monotonicMs() >= giveUpMs) return { threadId, failure: { code: error.code, message: error.message } };
    }
    await sleep(systemClock, WARM_UP_POLL_MS);
  }
}

/** Opening connects nowhere: whatever is away is met by the first slice, as a failure that is tried again. */
async function openContext(): Promise<SliceContext> {
  const [sinkConfig] = config.sinks;
  const settings = { partitions: config.queue.partitions, mapping: config.mapping };
  const sink = await openSink({ ...sinkConfig, settings, clock: systemClock, folder: config.data, incarnation });
  const renewSchema = schemaRenewal(sink, systemClock);
  const keepReady = async () => {
    await sink.keepAlive();
    // A node that waits for another to end is connected and knows the schema when its turn comes.
    if (incarnation !== undefined) await renewSchema();
  };
  // Whoever is away now is met again by the next slice, which reports it.
  const keep = () => void keepReady().catch(() => {});
  if (incarnation !== undefined) keep();
  setInterval(keep, KEEP_ALIVE_MS).unref();
  return {
    queue: await openQueueReader(config.queue, { folder: config.data }),
    sink,
    clock: systemClock,
    partitionCount: config.queue.partitions,
    partitionBy: partitionByOf(config),
    // Not what is configured: a frame that is stored was within the bound that held when it came.
    maxFrameBytes: LARGEST_FRAME_BYTES,
    budgetMs: SLICE_BUDGET_MS,
    renewSchema,
  };
}
