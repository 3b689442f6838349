import type { Spool, SpoolState } from './spool.ts';

/** Keeps frames for as long as the process lives. The client holds them itself, so that there is nothing to do. */
export function createMemorySpool(restored: SpoolState = EMPTY): Spool {
  return {
    restored,
    append: () => DONE,
    applied: () => {},
    reset: () => DONE,
    remember: () => DONE,
    close: () => DONE,
  };
}

const EMPTY: SpoolState = { stream: undefined, assigned: new Map(), held: [], left: [], note: undefined };
const DONE = Promise.resolve();
