import type { Random } from '../../../src/core/random.ts';
import type { SeededRandom } from '../../support/seeded-random.ts';

/** The randomness of a process, drawn from the seed. */
export function randomOf(seeded: SeededRandom): Random {
  return {
    fill: (target) => {
      for (let i = 0; i < target.length; i++) target[i] = seeded.below(256);
    },
    fraction: () => seeded.fraction(),
  };
}
