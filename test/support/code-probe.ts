/**
 * What `--import` names in processes that are to show what their threads let be done: one line on standard error for each
 * thread, `probe` and what came of making code from text and of reaching for a prototype.
 */
import { writeSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';

const attempts: readonly (() => unknown)[] = [
  // oxlint-disable-next-line typescript/no-implied-eval, no-new-func -- the very thing that must not work
  () => new Function('return 1')(),
  // oxlint-disable-next-line no-eval -- as above
  () => (0, eval)('1'),
  // oxlint-disable-next-line no-proto -- as above
  () => ({} as { readonly __proto__: unknown }).__proto__,
];

const results = attempts.map((attempt) => {
  try {
    attempt();
    return 'done';
  } catch (error) {
    return (error as Error).name;
  }
});

// At once, and not through process.stderr, which a worker shares with the main thread.
writeSync(2, `probe ${isMainThread ? 'main' : 'worker'} ${results.join(' ')}\n`);
