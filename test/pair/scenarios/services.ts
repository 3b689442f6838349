import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { DOWN_AFTER_MS } from '../../support/redis-sentinel.ts';
import type { RedisServer } from '../../support/redis-server.ts';
import { createTestNetwork } from '../../support/test-network.ts';
import type { PairScenario } from '../pair-scenario.ts';

const MAX_PAUSE_MS = 200;
const CUT_MS = 20_000;
/** What the Sentinels, the nodes and the clients need after the primary counts as down. */
const FAILOVER = { ms: DOWN_AFTER_MS + 5_000, text: 'down-after 2 s + 5 s' } as const;

/** What the nodes stand on is killed, cut off and emptied. */
export const SERVICES: readonly PairScenario[] = [
  {
    name: 'pair-redis-kill',
    what: 'the Redis primary is killed, and the Sentinels promote its replica',
    world: { mode: 'standby' },
    reach: { ...FAILOVER, of: 'recovery' },
    async strike(world, { random }) {
      const primary = await world.redis.master();
      await delay(random.below(MAX_PAUSE_MS));
      await primary.kill('SIGKILL');
      world.struck();
    },
  },
  {
    name: 'pair-redis-cut',
    what: 'the Redis primary is cut off for 20 s from its replica, the Sentinels and one node, and the other node still reaches it',
    world: { mode: 'standby', network: 'split' },
    reach: { ...FAILOVER, of: 'standstill' },
    missing: missingNetwork,
    async strike(world, { round }) {
      await world.preferRedis(world.redis.servers[0] as RedisServer);
      // The node that still reaches it leads, and then the one that does not.
      await world.lead(world.nodes[round % 2] as (typeof world.nodes)[number]);
      const { redis, others } = world.split;
      world.struck();
      redis.cutOff(others);
      await delay(CUT_MS);
      redis.heal();
    },
  },
  {
    name: 'pair-redis-empty',
    what: 'both Redis servers are killed, and come back empty',
    world: { mode: 'standby' },
    reach: { ms: 3_000, text: '3 s after they answer', of: 'recovery' },
    async strike(world, { random }) {
      const { redis } = world;
      const primary = await redis.master();
      await delay(random.below(MAX_PAUSE_MS));
      await Promise.all(redis.servers.map((server) => server.kill('SIGKILL')));
      world.struck();
      for (const { dir } of redis.servers) await rm(join(dir, 'appendonlydir'), { recursive: true, force: true });
      await primary.restart();
      await Promise.all(redis.servers.filter((server) => server !== primary).map((server) => server.restart()));
      return { countedFromMs: performance.now() };
    },
  },
  {
    name: 'pair-mariadb-kill',
    what: 'MariaDB is killed and comes back',
    world: { mode: 'standby' },
    reach: { ms: 2_000, text: '2 s after it answers', of: 'recovery' },
    async strike(world, { random }) {
      const { mariadb } = world;
      await delay(random.below(MAX_PAUSE_MS));
      await mariadb.kill('SIGKILL');
      world.struck();
      await mariadb.restart();
      return { countedFromMs: performance.now() };
    },
  },
  {
    name: 'pair-haproxy-kill',
    what: 'HAProxy is killed and comes back',
    world: { mode: 'standby' },
    reach: { ms: 1_000, text: 'time to reconnect, 1 s', of: 'recovery' },
    async strike(world, { random }) {
      await delay(random.below(MAX_PAUSE_MS));
      await world.balancer.kill();
      world.struck();
      await world.balancer.restart();
      return { countedFromMs: performance.now() };
    },
  },
];

function missingNetwork(): string | undefined {
  const network = createTestNetwork([]);
  if (typeof network === 'string') return network;
  network.close();
  return undefined;
}
