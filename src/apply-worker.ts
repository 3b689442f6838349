/**
 * Composition root of a worker thread: opens a queue reader and a sink of its own, and runs the slices it is given.
 */
import { workerData } from 'node:worker_threads';
import { schemaRenewal } from './apply/schema-renewal.ts';
import { runSlice, type SliceContext } from './apply/slice.ts';
import type { SliceResult, SliceTask } from './apply/task.ts';
import { partitionByOf, type Config } from './config/config.ts';
import { systemClock } from './core/clock.ts';
import { openQueueReader } from './queue/open.ts';
import { openSink } from './sinks/registry.ts';

/** How often idle database connections are used, so that the server's idle timeout ends those of frozen holders only. */
const KEEP_ALIVE_MS = 5_000;
/** A slice stops at its next commit after this time, so that one partition does not keep a thread from the others. */
const SLICE_BUDGET_MS = 2_000;

/** What a thread is started with. */
export interface WorkerData {
  readonly config: Config;
  /** Of a node that shares its sink with others. */
  readonly incarnation: string | undefined;
}

const { config, incarnation } = workerData as WorkerData;
const context = openContext();

/** What the pool calls. */
export async function runTask(task: SliceTask): Promise<SliceResult> {
  return runSlice(task, await context);
}

/** Opening connects nowhere: whatever is away is met by the first slice, as a failure that is tried again. */
async function openContext(): Promise<SliceContext> {
  const [sinkConfig] = config.sinks;
  const sink = await openSink({ ...sinkConfig, clock: systemClock, folder: config.data, incarnation });
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
    maxFrameBytes: config.ingest.maxFrameBytes,
    budgetMs: SLICE_BUDGET_MS,
    renewSchema,
  };
}
