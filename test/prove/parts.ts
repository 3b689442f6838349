import type { ProofPart } from './part.ts';
import { drill } from './parts/drill.ts';

/** Everything that `npm run prove` does, in the order of the page. */
export const PARTS: readonly ProofPart[] = [
  drill({ name: 'server-kill', unit: 'kills', target: 500, sliceCount: 25 }),
  drill({ name: 'client-kill', unit: 'kills', target: 500, sliceCount: 25 }),
  drill({ name: 'redis-kill', unit: 'kills', target: 100, sliceCount: 20 }),
  drill({ name: 'redis-wipe', scenario: 'redis-flush', unit: 'wipes', target: 50, sliceCount: 25 }),
  drill({ name: 'mariadb-kill', unit: 'kills', target: 100, sliceCount: 20 }),
  drill({ name: 'commit-cut', unit: 'cuts', target: 500, sliceCount: 25 }),
];
