import type { Workload } from './workload.ts';

/** A workload by its scale: 1 is all of it. */
export type ScaledWorkload = (scale: number) => Workload;

export function scaledWorkload(kind: Workload['kind'], changes: number): ScaledWorkload {
  return (scale) => ({ kind, changes: Math.max(MIN_CHANGES, Math.round(changes * scale)), seed: SEED });
}

/** What is written to a table of its own before anything is measured, so that code is compiled and caches are filled. */
export function warmUpWorkload(scale: number): Workload {
  return {
    kind: 'inserts',
    changes: Math.max(MIN_CHANGES, Math.min(WARM_UP_CHANGES, Math.round(WARM_UP_CHANGES * scale * 4))),
    seed: SEED,
  };
}

const SEED = 1;
const MIN_CHANGES = 1000;
const WARM_UP_CHANGES = 100_000;
