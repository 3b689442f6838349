import { strict as assert } from 'node:assert';
import { Piscina } from 'piscina';
import { messageOf, SyncError } from '../core/errors.ts';
import type { SliceResult, SliceRunner, SliceTask, WarmUpResult } from './task.ts';

export interface PoolOptions extends GenerationOptions {
  /** The worker's module: it exports `runTask` and `warmUp`, and takes `workerData`. */
  readonly filename: string;
}

/** What one generation of threads is started with. */
export interface GenerationOptions {
  readonly threads: number;
  /** Slices that one thread runs at once: while one waits for the database, another decodes. */
  readonly slicesPerThread: number;
  readonly workerData: unknown;
}

/** Threads that run slices, and can be replaced by others while they do. */
export interface Pool extends SliceRunner {
  /**
   * Starts new threads, waits until each has reached queue and sink, gives them every slice from then on, and lets the old
   * ones end after what they run. There are never fewer threads than there were, or will be. One call at a time.
   * @throws {SyncError} `roll_failed` when the new ones cannot work; the old ones then go on.
   */
  roll(options: GenerationOptions): Promise<void>;
}

/**
 * Memory of a thread's own objects. A slice of a mebibyte makes some 10 MB of them, and most are garbage when it ends: with a
 * young generation of 24 MB they were copied before, and the server took 5.8 µs of processor time for an inserted row; with
 * 64 MB it takes 4.5 µs, with 128 MB 4.0 µs. The old generation would be tidied late if it were let grow to 2 GB. The bound
 * on changes per batch keeps any slice far below.
 */
const RESOURCE_LIMITS = { maxOldGenerationSizeMb: 384, maxYoungGenerationSizeMb: 64 };

interface Threads {
  readonly pool: Piscina<readonly SliceTask[], SliceResult[]>;
  /** Tasks in flight. The pool's own `close()` counts them wrong and ends threads that still run some (piscina 5.3). */
  readonly running: Set<Promise<unknown>>;
}

/**
 * Runs slices in a pool of threads. Idle threads keep their event loops (`atomics: 'async'`), so that their connections'
 * timers and keep-alives run on.
 */
export function startPool({ filename, ...first }: PoolOptions): Pool {
  let current = startThreads(filename, first);
  /** Generations that finish what they run. */
  const retiring = new Set<Promise<void>>();
  let closed = false;
  return {
    async run(tasks) {
      const { pool, running } = current;
      const result = pool.run(tasks).catch((error: unknown) => tasks.map(() => failed(messageOf(error))));
      running.add(result);
      try {
        return await result;
      } finally {
        running.delete(result);
      }
    },
    async roll(options) {
      const fresh = startThreads(filename, options);
      try {
        await warmUp(fresh, options.threads);
      } catch (error) {
        await fresh.pool.destroy();
        throw new SyncError('roll_failed', `new worker threads cannot work: ${messageOf(error)}`, { cause: error });
      }
      if (closed) return fresh.pool.destroy();
      const old = current;
      current = fresh;
      const ending: Promise<void> = finish(old).finally(() => retiring.delete(ending));
      retiring.add(ending);
    },
    async close() {
      closed = true;
      await Promise.all([finish(current), ...retiring]);
    },
  };
}

function startThreads(filename: string, { threads, slicesPerThread, workerData }: GenerationOptions): Threads {
  const pool = new Piscina<readonly SliceTask[], SliceResult[]>({
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
  return { pool, running: new Set() };
}

/** Ends threads once they have finished what they run. */
async function finish({ pool, running }: Threads): Promise<void> {
  await Promise.all(running);
  await pool.destroy();
}

/** Has every thread of a new pool connect. Rejects when one cannot, or ends. */
async function warmUp({ pool }: Threads, threads: number): Promise<void> {
  // The pool gives a task to a thread that has none, as long as there is one.
  const asked = Array.from({ length: threads }, () => pool.run(undefined as never, { name: 'warmUp' }));
  const results = (await Promise.all(asked)) as unknown as WarmUpResult[];
  for (const { failure } of results) if (failure !== undefined) throw new Error(`${failure.code}: ${failure.message}`);
  assert(new Set(results.map(({ threadId }) => threadId)).size === threads, 'every thread was warmed up');
}

/** Nothing is known of a slice whose thread ended: the next one reads the watermark. */
function failed(message: string): SliceResult {
  return {
    outcome: 'failed',
    count: 0,
    last: undefined,
    apart: [],
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
