import { setTimeout as delay } from 'node:timers/promises';

const POLL_MS = 100;

/** What is waited for, and what makes waiting longer worth while. */
export interface Wait {
  /** Grows as long as things move. */
  readonly progress: () => number;
  /** Why waiting is in vain, if so. */
  readonly trouble: () => string | undefined;
  /** How long nothing may move. */
  readonly patienceMs: number;
  /** Ends the wait as well. */
  readonly stop?: AbortSignal;
}

/**
 * Waits for `goal` for as long as things move. Gives undefined when it is reached; else why the wait was given up, which
 * is the empty text when it was stopped.
 */
export async function withPatience(goal: Promise<unknown>, { progress, trouble, patienceMs, stop }: Wait): Promise<string | undefined> {
  let reached = false;
  const done = goal.then(() => (reached = true));
  let [last, sinceMs] = [progress(), performance.now()];
  for (;;) {
    await Promise.race([done, delay(POLL_MS)]);
    if (reached) return undefined;
    if (stop?.aborted === true) return '';
    const now = progress();
    if (now !== last) [last, sinceMs] = [now, performance.now()];
    const why = trouble() ?? (performance.now() - sinceMs > patienceMs ? `nothing was applied for ${patienceMs / 1000} s` : undefined);
    if (why !== undefined) return why;
  }
}
