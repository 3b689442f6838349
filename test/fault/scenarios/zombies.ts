import { setTimeout as delay } from 'node:timers/promises';
import { frozen, thaw } from '../../support/freeze.ts';
import { catchServer, inTurn, placesOf } from '../catch.ts';
import { LEASE_MS } from '../fault-world.ts';
import type { Scenario } from '../scenario.ts';

/** How long both servers run side by side after the first woke up, at most. */
const MAX_OVERLAP_MS = 500;

/** A server stands still in the middle of its work while another takes its place, and then goes on as if nothing had happened. */
export const ZOMBIES: readonly Scenario[] = [
  {
    name: 'server-zombie-at',
    what: 'the server is frozen at a failpoint for longer than its lease, another takes over, and it wakes up',
    installation: 'services',
    async strike(world, turn) {
      const zombie = world.server;
      await catchServer(world, inTurn(placesOf(world, 'server', ['stop', 'wipe']), turn), 'stop', turn);
      await frozen(zombie.pid);
      const frozenAtMs = performance.now();
      await world.replaceServer();
      await world.advance();
      await delay(Math.max(0, frozenAtMs + 1.5 * LEASE_MS - performance.now()));
      thaw(zombie.pid);
      await delay(turn.random.below(MAX_OVERLAP_MS));
      await world.advance();
      await zombie.stop(turn.random.chance(0.5) ? 'SIGTERM' : 'SIGKILL');
      world.struck();
    },
  },
];
