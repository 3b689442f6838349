import type { ProofPart } from './part.ts';
import { drill, pairDrill } from './parts/drill.ts';
import { FUZZ_FRAMES, FUZZ_SOCKETS } from './parts/fuzz.ts';
import { PLANTED } from './parts/planted-bugs.ts';
import { SEEDS } from './parts/seeds.ts';
import { SOAK } from './parts/soak.ts';
import { worlds } from './parts/small-worlds.ts';

/** Everything that `npm run prove` does, in the order of the page. */
export const PARTS: readonly ProofPart[] = [
  SEEDS,
  PLANTED,
  worlds({ name: 'small-worlds', title: 'a short history with every single fault', set: 'single', inVerify: 'all', sliceCount: 500 }),
  worlds({
    name: 'small-worlds-two-nodes',
    title: 'a short history of two nodes with every single fault',
    set: 'two-nodes',
    inVerify: 300,
    sliceCount: 500,
  }),
  worlds({
    name: 'small-world-pairs',
    title: 'a short history with every pair of faults',
    set: 'pair',
    inVerify: 1_000,
    sliceCount: 10_000,
  }),
  drill({ name: 'server-kill', unit: 'kills', target: 500, sliceCount: 25 }),
  drill({ name: 'server-stop', unit: 'stops', target: 100, sliceCount: 20 }),
  drill({ name: 'client-kill', unit: 'kills', target: 500, sliceCount: 25 }),
  drill({ name: 'redis-kill', unit: 'kills', target: 100, sliceCount: 20 }),
  drill({ name: 'redis-wipe', scenario: 'redis-flush', unit: 'wipes', target: 50, sliceCount: 25 }),
  drill({ name: 'mariadb-kill', unit: 'kills', target: 100, sliceCount: 20 }),
  drill({ name: 'commit-cut', unit: 'cuts', target: 500, sliceCount: 25 }),
  // Failovers, split brains and restarts of a pair.
  pairDrill({ name: 'pair-node-kill', unit: 'kills', target: 50, sliceCount: 10 }),
  pairDrill({ name: 'pair-redis-kill', unit: 'kills', target: 50, sliceCount: 10 }),
  pairDrill({ name: 'pair-zombie', unit: 'stops', target: 30, sliceCount: 10 }),
  pairDrill({ name: 'pair-redis-cut', unit: 'cuts', target: 30, sliceCount: 5 }),
  pairDrill({ name: 'pair-rolling-restart', unit: 'restarts', target: 100, sliceCount: 10 }),
  pairDrill({ name: 'pair-rolling-restart-active', unit: 'restarts', target: 100, sliceCount: 10 }),
  FUZZ_FRAMES,
  FUZZ_SOCKETS,
  SOAK,
];
