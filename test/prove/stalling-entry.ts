/** `node test/prove/stalling-entry.ts ROOT …`: `prove` with one part, whose fourth item takes until it is interrupted. */
import { once } from 'node:events';
import { proveAndExit } from './prove.ts';

const [root] = process.argv.splice(2, 1);
await proveAndExit(root as string, [
  {
    name: 'stalling',
    title: 'nothing happens',
    unit: 'items',
    target: 6,
    inVerify: 0,
    sliceCount: 2,
    rerun: 'none',
    sources: [],
    async run({ from, count, signal }) {
      if (from + count <= 4) return { done: count, violations: [], figures: {} };
      // What waits for a signal alone does not keep a process.
      const timer = setInterval(() => {}, 1_000);
      console.log('stalled');
      if (!signal.aborted) await once(signal, 'abort');
      clearInterval(timer);
      return { done: 1, violations: [], figures: {} };
    },
  },
]);
