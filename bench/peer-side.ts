import type { Figures, Side } from './comparison.ts';
import type { Contender } from './contender.ts';
import { scaledWorkload } from './scaled-workload.ts';

/** How long a peer is measured, about. */
const SECONDS = 8;
/** The first, short measurement finds out how much work that is. */
const PROBE_CHANGES = 4_000;

/**
 * A contender as a side. Peers differ by a factor of a hundred, so each is given as many changes as it can do in about the
 * same time, and never more than `mostChanges`.
 */
export function peerSide(contender: Contender, mostChanges: number): Side {
  let changesPerSecond: number | undefined;
  const measured = async (changes: number): Promise<number> => {
    const { count, seconds } = await contender.measure(scaledWorkload('inserts', changes)(1));
    if (count !== changes) throw new Error(`${contender.name} counted ${count} of ${changes} changes`);
    return count / seconds;
  };
  return {
    name: contender.name,
    title: contender.title,
    missing: () => contender.missing(),
    async measure(scale): Promise<Figures> {
      changesPerSecond ??= await measured(PROBE_CHANGES);
      const changes = Math.min(mostChanges, Math.max(PROBE_CHANGES, Math.round(changesPerSecond * SECONDS)));
      return { 'rows/s': await measured(Math.round(changes * scale)) };
    },
  };
}
