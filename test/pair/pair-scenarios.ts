import type { PairScenario } from './pair-scenario.ts';
import { NODES } from './scenarios/nodes.ts';
import { SERVICES } from './scenarios/services.ts';
import { SWITCHES } from './scenarios/switches.ts';
import { ZOMBIES } from './scenarios/zombies.ts';

/** Every scenario of a pair, by name as `drill.ts` takes it. */
export const PAIR_SCENARIOS: readonly PairScenario[] = [...NODES, ...ZOMBIES, ...SERVICES, ...SWITCHES];
