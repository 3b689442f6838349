import type { ProofPart } from '../part.ts';
import { runShares } from '../shares.ts';
import { WORLD_SETS, type WorldSetName } from '../world-sets.ts';

export interface WorldsOptions {
  readonly name: string;
  readonly title: string;
  readonly set: WorldSetName;
  readonly inVerify: number | 'all';
  readonly sliceCount: number;
}

const RUN = new URL('../run-worlds.ts', import.meta.url).pathname;

/** All variants of one short history that a set has. */
export function worlds({ name, title, set, inVerify, sliceCount }: WorldsOptions): ProofPart {
  return {
    name,
    title,
    unit: 'histories',
    target: async () => (await WORLD_SETS[set]()).count,
    isExhaustive: true,
    inVerify,
    sliceCount,
    rerun: `npm run small-worlds -- --set ${set}`,
    sources: ['test/simulation', 'test/support', 'test/prove/world-sets.ts'],
    run: (slice) =>
      runShares(slice, {
        argsOf: (from, to, step) => [RUN, '--json', '--set', set, '--worlds', `${from}..${to}`, '--step', String(step)],
        nameOf: (item) => `world ${item} of ${set}`,
        rerunOf: (item) => `npm run small-worlds -- --set ${set} --worlds ${item}`,
      }),
  };
}
