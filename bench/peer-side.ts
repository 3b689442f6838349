import type { Figures, Side } from './comparison.ts';
import type { Contender } from './contender.ts';
import type { ScaledWorkload } from './scaled-workload.ts';

/**
 * A contender as a side. Peers differ by a factor of a hundred: a slow one may do only the first changes of the workload, and
 * its rate is that of those.
 */
export function peerSide(contender: Contender, workloadFor: ScaledWorkload): Side {
  const { name, title } = contender;
  return {
    name,
    title,
    missing: () => contender.missing(),
    async measure(scale): Promise<Figures> {
      const { count, seconds } = await contender.measure(workloadFor(scale));
      return { 'rows/s': count / seconds };
    },
  };
}
