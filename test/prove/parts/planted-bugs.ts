import { availableParallelism } from 'node:os';
import { findBug } from '../../simulation/find-bugs.ts';
import type { Finding } from '../../simulation/find-broken.ts';
import { PLANTED_BUGS, type PlantedBug } from '../../simulation/planted-bugs.ts';
import type { PartResult, ProofPart, Slice } from '../part.ts';

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
  sliceCount: 6,
  rerun: `npm run find-bugs -- --seeds ${MAX_SEEDS}`,
  sources: ['test/simulation', 'test/support'],
  run,
};

async function run({ from, count, signal, progress }: Slice): Promise<PartResult> {
  const bugs = PLANTED_BUGS.slice(from - 1, from - 1 + count);
  const findings: Finding[] = [];
  const waiting = [...bugs.entries()];
  const failed = new AbortController();
  const ended = AbortSignal.any([signal, failed.signal]);
  const work = async () => {
    for (let next = waiting.shift(); next !== undefined && !ended.aborted; next = waiting.shift()) {
      const [i, bug] = next;
      findings[i] = await findBug(bug, 1, MAX_SEEDS, ended);
      progress(Object.keys(findings).length);
    }
  };
  try {
    await Promise.all(Array.from({ length: availableParallelism() }, work));
  } catch (error) {
    failed.abort();
    if (!signal.aborted) throw error;
  }
  const gap = bugs.findIndex((_, i) => findings[i] === undefined);
  return resultOf(gap < 0 ? bugs : bugs.slice(0, gap), findings);
}

function resultOf(bugs: readonly PlantedBug[], findings: readonly Finding[]): PartResult {
  const seeds = bugs.flatMap((_, i) => findings[i]?.seed ?? []);
  const hidden = bugs.filter((_, i) => findings[i]?.seed === undefined);
  return {
    done: bugs.length,
    violations: hidden.map(({ name }) => ({
      what: `not found in ${MAX_SEEDS} histories: ${name}`,
      rerun: `npm run find-bugs -- --bug ${JSON.stringify(name)} --seeds ${MAX_SEEDS}`,
    })),
    figures: seeds.length === 0 ? {} : { 'histories until one shows it': seeds },
  };
}
