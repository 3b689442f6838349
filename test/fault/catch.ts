import { rmSync } from 'node:fs';
import { eventually } from '../support/eventually.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { failpointEnv, readFailpointLog, type FailpointAction } from './failpoint-env.ts';
import { type Failpoint, FAILPOINTS, installationsOf, type Occasion } from './failpoints.ts';
import type { FaultWorld } from './fault-world.ts';
import type { Turn } from './scenario.ts';

/** How long a place may take to be visited often enough. */
const CATCH_MS = 30_000;
const WIPE_INTERVAL_MS = 300;

/** At which visit a process is caught, at most. */
const MAX_VISIT: Readonly<Record<Occasion, number>> = { load: 12, interval: 3, start: 1, connect: 1, stop: 1, wipe: 1, 'new spool': 1 };

/** Places of a process in the installation of `world`. */
export function placesOf(world: FaultWorld, process: Failpoint['of'], but: readonly Occasion[] = []): Failpoint[] {
  return FAILPOINTS.filter(
    (place) => place.of === process && installationsOf(place).includes(world.installation) && !but.includes(place.reached),
  );
}

/** The item whose turn it is: all have theirs, in an order that the seed decides, and then all again. */
export function inTurn<T>(items: readonly T[], { seed, round }: Turn): T {
  const order = [...items];
  const shuffle = new SeededRandom(seed + Math.floor(round / items.length));
  for (let i = order.length - 1; i > 0; i--) {
    const j = shuffle.below(i + 1);
    [order[i], order[j]] = [order[j] as T, order[i] as T];
  }
  return order[round % items.length] as T;
}

/** Starts the server anew so that it acts when it gets to `place`, and waits until it has got there. */
export async function catchServer(world: FaultWorld, place: Failpoint, action: FailpointAction, { random }: Turn): Promise<void> {
  await world.server.stop('SIGKILL');
  const env = arm(world, place, action, random);
  if (place.reached === 'stop') {
    // What another life left is applied without a client, and without one there is nobody to ask to go.
    await world.renewServer(env);
    void world.server.stop('SIGTERM');
  } else {
    world.server.launch(env);
  }
  await caught(world, place);
}

/** As {@link catchServer}, for the client. */
export async function catchClient(world: FaultWorld, place: Failpoint, action: FailpointAction, { random }: Turn): Promise<void> {
  const { producer } = world;
  if (place.reached === 'new spool') {
    // Only an empty spool may be thrown away.
    await producer.stop('SIGTERM');
    rmSync(producer.spool, { recursive: true });
  } else {
    await producer.stop('SIGKILL');
  }
  producer.start(arm(world, place, action, random));
  await caught(world, place);
}

function arm(world: FaultWorld, place: Failpoint, action: FailpointAction, random: SeededRandom): Record<string, string> {
  rmSync(world.failpointLog, { force: true });
  return failpointEnv({ armed: { name: place.name, action, visit: 1 + random.below(MAX_VISIT[place.reached]) }, log: world.failpointLog });
}

async function caught(world: FaultWorld, { name, reached }: Failpoint): Promise<void> {
  let wipedAtMs = 0;
  await eventually(
    async () => {
      if (readFailpointLog(world.failpointLog).has(`${name}!`)) return;
      if (reached === 'wipe' && performance.now() - wipedAtMs > WIPE_INTERVAL_MS) {
        await world.services.redis.command('FLUSHALL');
        wipedAtMs = performance.now();
      }
      throw new Error(`failpoint "${name}" was not visited often enough within ${CATCH_MS} ms`);
    },
    CATCH_MS,
    10,
  );
  world.struck();
}
