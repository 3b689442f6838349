import { setTimeout as delay } from 'node:timers/promises';
import { freeze, thaw } from '../../support/freeze.ts';
import type { FaultWorld } from '../fault-world.ts';
import type { Scenario } from '../scenario.ts';

const MAX_PAUSE_MS = 200;
/** Longer than the server waits for a reply of Redis, and than a lease. */
const MAX_STOP_MS = 4_000;

/** Whoever the server talks to stands still for a while with its connections open, and goes on. */
export const STOPS: readonly Scenario[] = [
  stop('client-stop', 'the client', ({ producer }) => producer.pid),
  stop('redis-stop', 'Redis', ({ services }) => services.redis.pid),
  stop('mariadb-stop', 'MariaDB', ({ services }) => services.mariadb.pid),
];

function stop(name: string, who: string, pidOf: (world: FaultWorld) => number): Scenario {
  return {
    name,
    what: `${who} is frozen at a random moment, and goes on`,
    installation: 'services',
    async strike(world, { random }) {
      await delay(random.below(MAX_PAUSE_MS));
      const pid = pidOf(world);
      await freeze(pid);
      world.struck();
      await delay(random.below(MAX_STOP_MS));
      thaw(pid);
    },
  };
}
