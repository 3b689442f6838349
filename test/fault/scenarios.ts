import type { Scenario } from './scenario.ts';
import { DISKS } from './scenarios/disks.ts';
import { HOSTILE_CLIENTS } from './scenarios/hostile-clients.ts';
import { KILLS } from './scenarios/kills.ts';
import { NETWORKS } from './scenarios/networks.ts';
import { ZOMBIES } from './scenarios/zombies.ts';

/** Every scenario, by name as `drill.ts` takes it. */
export const SCENARIOS: readonly Scenario[] = [...KILLS, ...ZOMBIES, ...NETWORKS, ...DISKS, ...HOSTILE_CLIENTS];
