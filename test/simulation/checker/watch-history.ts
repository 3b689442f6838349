import type { Simulation } from '../simulation.ts';
import { boundFaults } from './bounds.ts';
import { watchLeases } from './leases.ts';
import { Primaries } from './primaries.ts';
import { Takeovers } from './takeovers.ts';
import { Waits } from './waits.ts';

const BOUNDS_EVERY_MS = 1_000;

/** Watches what must hold while a history runs, for as long as it lasts. */
export function watchHistory(simulation: Simulation): void {
  const { installation, timeline, nodes, servers, stored, violate } = simulation;
  const { mode, sentinels } = installation;
  if (mode !== 'standalone') {
    watchLeases(installation, servers.group, violate);
    new Takeovers(simulation).start();
  }
  // Where a server of Redis goes on apart from the others, a node that sees only that one leads, too.
  if (mode === 'standby' && sentinels === undefined) new Primaries(timeline, nodes, servers.group.primary, violate).start();
  stored?.start(nodes.map(({ host }) => host));
  const waits = new Waits(simulation);
  const look = () => {
    for (const fault of boundFaults(simulation)) violate(fault);
    waits.look();
    timeline.at(BOUNDS_EVERY_MS, look);
  };
  timeline.at(BOUNDS_EVERY_MS, look);
}
