import { runSlices, type SliceContext } from '../../../src/apply/slice.ts';
import type { SliceRunner } from '../../../src/apply/task.ts';

/** Runs slices in the process itself, each in the context of one of its threads, in turn. */
export function createSliceRunner(threads: readonly SliceContext[]): SliceRunner {
  let next = 0;
  return {
    run: (tasks) => runSlices(tasks, threads[next++ % threads.length]!),
    close: () => Promise.resolve(),
  };
}
