import type { ProofPart } from '../part.ts';
import { runShares } from '../shares.ts';

/** How many of the first histories the tests run. */
export const SEEDS_IN_VERIFY = 1_000;

const RUN = new URL('../../simulation/run.ts', import.meta.url).pathname;

/** Histories of the simulator: an item is a seed. */
export const SEEDS: ProofPart = {
  name: 'seeds',
  title: 'a history of clients, servers and faults on virtual time',
  unit: 'histories',
  target: 100_000,
  inVerify: SEEDS_IN_VERIFY,
  sliceCount: 200,
  rerun: 'npm run simulate -- --seeds 1..100000',
  sources: ['test/simulation', 'test/support'],
  run: (slice) =>
    runShares(slice, {
      argsOf: (from, to, step) => [RUN, '--json', '--seeds', `${from}..${to}`, '--step', String(step)],
      nameOf: (seed) => `seed ${seed}`,
      rerunOf: (seed) => `npm run simulate -- --seeds ${seed} --trace`,
    }),
};
