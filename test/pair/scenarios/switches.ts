import { setTimeout as delay } from 'node:timers/promises';
import { freeze, thaw } from '../../support/freeze.ts';
import type { ServerProcess } from '../../support/server-process.ts';
import { inTurn } from '../../fault/catch.ts';
import type { PairScenario } from '../pair-scenario.ts';
import { LEASE_MS } from '../pair-parts.ts';
import type { PairWorld } from '../pair-world.ts';

/** What happens to the node that leads. */
const STRIKES: readonly ((world: PairWorld, leader: ServerProcess) => Promise<void>)[] = [
  async (world, leader) => {
    world.struck();
    await leader.stop('SIGKILL');
  },
  async (world, leader) => {
    world.struck();
    await leader.stop('SIGTERM');
  },
  async (world, leader) => {
    world.struck();
    await leader.stop('SIGTERM');
    await leader.start();
  },
  async (world, leader) => {
    await freeze(leader.pid);
    world.struck();
    await delay(LEASE_MS + 2_000);
    thaw(leader.pid);
  },
];

/** Who leads is looked at all the time, while the lead changes. */
export const SWITCHES: readonly PairScenario[] = [
  {
    name: 'pair-switches',
    what: 'the node that leads is killed, stopped, restarted or frozen, and who says that it leads is asked every 50 ms',
    world: { mode: 'standby' },
    reach: { ms: LEASE_MS + 1_000, text: 'lease 3 s + 1 s', of: 'recovery' },
    isWatched: true,
    async strike(world, turn) {
      await inTurn(STRIKES, turn)(world, await world.leader());
    },
  },
];
