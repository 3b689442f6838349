import { setTimeout as delay } from 'node:timers/promises';
import { freeze, frozen, thaw } from '../../support/freeze.ts';
import { catchServer, inTurn, placesOf } from '../catch.ts';
import { LEASE_MS, type FaultWorld } from '../fault-world.ts';
import type { ServerProcess } from '../../support/server-process.ts';
import type { Scenario, Turn } from '../scenario.ts';

/** How long both servers run side by side after the first woke up, at most. */
const MAX_OVERLAP_MS = 500;
const MAX_PAUSE_MS = 200;
/** How long a server stands still that nobody follows: longer than its lease. */
const STOP_MS = 1.5 * LEASE_MS;

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
      await succeed(world, zombie, frozenAtMs, turn);
    },
  },
  {
    name: 'server-stop',
    what: 'the server is frozen at a random moment for longer than its lease, another takes over in every other case, and it wakes up',
    installation: 'services',
    async strike(world, turn) {
      const { server } = world;
      await delay(turn.random.below(MAX_PAUSE_MS));
      await freeze(server.pid);
      const frozenAtMs = performance.now();
      world.struck();
      if (turn.round % 2 === 0) return succeed(world, server, frozenAtMs, turn);
      // It goes on with leases that are over, and with whatever transactions were open.
      await delay(STOP_MS);
      thaw(server.pid);
    },
  },
  {
    name: 'server-stop-embedded',
    what: 'the server is frozen at a random moment for longer than its lease, and wakes up',
    installation: 'embedded',
    async strike(world, { random }) {
      await delay(random.below(MAX_PAUSE_MS));
      await freeze(world.server.pid);
      world.struck();
      await delay(STOP_MS);
      thaw(world.server.pid);
    },
  },
];

/** Another server takes the place of the frozen one, which wakes up, runs beside it for a while, and is ended. */
async function succeed(world: FaultWorld, zombie: ServerProcess, frozenAtMs: number, { random }: Turn): Promise<void> {
  await world.replaceServer();
  await world.advance();
  await delay(Math.max(0, frozenAtMs + STOP_MS - performance.now()));
  thaw(zombie.pid);
  await delay(random.below(MAX_OVERLAP_MS));
  await world.advance();
  await zombie.stop(random.chance(0.5) ? 'SIGTERM' : 'SIGKILL');
  world.struck();
}
