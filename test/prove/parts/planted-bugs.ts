import { availableParallelism } from 'node:os';
import { findBug } from '../../simulation/find-bugs.ts';
import { PLANTED_BUGS } from '../../simulation/planted-bugs.ts';
import type { PartResult, ProofPart, Slice, Violation } from '../part.ts';

/** A bug that does not show in so many histories is one that the simulator does not find. */
const MAX_SEEDS = 3_000;

/** The simulator is right to find nothing only if it finds what is there: an item is a bug. */
export const PLANTED: ProofPart = {
  name: 'planted-bugs',
  title: 'a mistake is planted in the source, and the simulator has to find it',
  unit: 'mistakes',
  target: PLANTED_BUGS.length,
  isExhaustive: true,
  inVerify: PLANTED_BUGS.filter(({ isSeldom }) => isSeldom !== true).length,
  // All in one: there is no median of medians.
  sliceCount: PLANTED_BUGS.length,
  rerun: `npm run find-bugs -- --seeds ${MAX_SEEDS}`,
  sources: ['test/simulation', 'test/support'],
  run,
};

async function run({ from, count, signal, progress }: Slice): Promise<PartResult> {
  const bugs = PLANTED_BUGS.slice(from - 1, from - 1 + count);
  const waiting = [...bugs];
  const seeds: number[] = [];
  const violations: Violation[] = [];
  const work = async () => {
    for (let bug = waiting.shift(); bug !== undefined && !signal.aborted; bug = waiting.shift()) {
      const { seed } = await findBug(bug, 1, MAX_SEEDS, signal);
      if (seed === undefined) {
        const rerun = `npm run find-bugs -- --bug ${JSON.stringify(bug.name)} --seeds ${MAX_SEEDS}`;
        violations.push({ what: `not found in ${MAX_SEEDS} histories: ${bug.name}`, rerun });
      } else {
        seeds.push(seed);
      }
      progress(seeds.length + violations.length);
    }
  };
  try {
    await Promise.all(Array.from({ length: availableParallelism() }, work));
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  if (signal.aborted) return { done: 0, violations: [], figures: {} };
  seeds.sort((a, b) => a - b);
  const figures = { 'median histories until one shows': seeds[seeds.length >> 1] ?? 0, 'longest search in histories': seeds.at(-1) ?? 0 };
  return { done: bugs.length, violations, figures };
}
