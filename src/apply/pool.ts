import { Piscina } from 'piscina';
import { messageOf } from '../core/errors.ts';
import type { SliceResult, SliceRunner, SliceTask } from './task.ts';

export interface PoolOptions {
  /** The worker's module: it exports `runTask` and takes `workerData`. */
  readonly filename: string;
  readonly threads: number;
  /** Slices that one thread runs at once: while one waits for the database, another decodes. */
  readonly slicesPerThread: number;
  readonly workerData: unknown;
}

/**
 * Memory of a thread's own objects. The young generation would grow to some 100 MB, and the old one be tidied late, if
 * they were let: while it drained a backlog of 2 million changes, four slices of 1 MiB at a time, the built server took
 * 280 MB with these limits and 450 MB with an old generation of 2 GB. The bound on changes per batch keeps any slice far
 * below.
 */
const RESOURCE_LIMITS = { maxOldGenerationSizeMb: 384, maxYoungGenerationSizeMb: 24 };

/**
 * Runs slices in a pool of threads. Idle threads keep their event loops (`atomics: 'async'`), so that their connections'
 * timers and keep-alives run on.
 */
export function startPool({ filename, threads, slicesPerThread, workerData }: PoolOptions): SliceRunner {
  const pool = new Piscina<SliceTask, SliceResult>({
    filename,
    name: 'runTask',
    minThreads: threads,
    maxThreads: threads,
    concurrentTasksPerWorker: slicesPerThread,
    atomics: 'async',
    idleTimeout: Number.POSITIVE_INFINITY,
    workerData,
    resourceLimits: RESOURCE_LIMITS,
  });
  // A thread that ends outside a task is replaced by the pool; what it did is retried through its task's rejection.
  pool.on('error', () => {});
  return {
    async run(task) {
      try {
        return await pool.run(task);
      } catch (error) {
        return failed(messageOf(error));
      }
    },
    close: () => pool.close(),
  };
}

/** Nothing is known of a slice whose thread ended: the next one reads the watermark. */
function failed(message: string): SliceResult {
  return {
    outcome: 'failed',
    count: 0,
    last: undefined,
    more: true,
    moves: [],
    resets: [],
    damage: [],
    blockedAtUs: undefined,
    fetchedAtUs: 0,
    refused: [],
    error: { code: 'worker_failed', message },
    stats: { elements: 0, changes: 0, bytes: 0, deadLetters: 0, fetchMs: 0, applyMs: 0, newestStoredAtUs: 0 },
  };
}
