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
  if (installation.mode !== 'standalone') {
    watchLeases(installation, servers.group, violate);
    new Takeovers(simulation).start();
  }
  if (installation.mode === 'standby') new Primaries(simulation).start();
  stored?.start(nodes.map(({ host }) => host));
  const waits = new Waits(simulation);
  timeline.every(BOUNDS_EVERY_MS, () => {
    for (const fault of boundFaults(simulation)) violate(fault);
    waits.look();
  });
}
