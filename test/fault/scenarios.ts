import type { Scenario } from './scenario.ts';
import { BLACKHOLES } from './scenarios/blackholes.ts';
import { DISKS } from './scenarios/disks.ts';
import { HOSTILE_CLIENTS } from './scenarios/hostile-clients.ts';
import { KILLS } from './scenarios/kills.ts';
import { NETWORKS } from './scenarios/networks.ts';
import { OLD_SPOOLS } from './scenarios/old-spools.ts';
import { STOPS } from './scenarios/stops.ts';
import { THREADS } from './scenarios/threads.ts';
import { ZOMBIES } from './scenarios/zombies.ts';

/** Every scenario, by name as `drill.ts` takes it. */
export const SCENARIOS: readonly Scenario[] = [
  ...KILLS,
  ...THREADS,
  ...STOPS,
  ...ZOMBIES,
  ...NETWORKS,
  ...BLACKHOLES,
  ...DISKS,
  ...OLD_SPOOLS,
  ...HOSTILE_CLIENTS,
];
