import type { SeededRandom } from '../support/seeded-random.ts';
import { crash, type Fault, pause } from './faults.ts';
import type { WatchedRedis } from './checker/watched-redis.ts';
import type { Simulation } from './simulation.ts';
import type { Network } from './world/network.ts';

/** What happens to a primary, its replica and the Sentinels that watch them. */
export const SENTINEL_FAULTS: readonly Fault[] = [
  {
    name: 'the primary is killed, and its replica may take over',
    weight: 6,
    maxMs: 30_000,
    strike: ({ servers: { redis } }, random) => killServer(redis, random),
  },
  {
    name: 'the primary is killed while its replica lags behind',
    weight: 6,
    maxMs: 30_000,
    strike: (simulation, random) => {
      const primary = simulation.servers.redis;
      const mend = holdBack(simulation, random);
      let undo: (() => void) | undefined;
      let isOver = false;
      simulation.at(random.below(4_000), () => {
        if (!isOver && primary.host.isUp) undo = killServer(primary, random);
      });
      return () => {
        isOver = true;
        mend();
        undo?.();
      };
    },
  },
  {
    name: 'the primary stands still, and its replica may take over',
    weight: 4,
    maxMs: 20_000,
    strike: ({ servers: { redis } }) => pause(redis.host),
  },
  {
    name: 'replication lags behind',
    weight: 4,
    maxMs: 20_000,
    strike: (simulation, random) => holdBack(simulation, random),
  },
  {
    name: 'the replica is killed',
    weight: 3,
    maxMs: 15_000,
    strike: ({ servers: { group } }, random) => killServer(random.pick(group.replicas), random),
  },
  {
    name: 'the replica stands still',
    weight: 1,
    maxMs: 15_000,
    strike: ({ servers: { group } }, random) => pause(random.pick(group.replicas).host),
  },
  {
    name: 'the primary goes on apart from its replica and the Sentinels, and some nodes with it',
    weight: 6,
    maxMs: 30_000,
    strike: ({ network, nodes, servers: { redis, group } }, random) => {
      const others = [...nodes, ...group.sentinels.slice(1)].map(({ host }) => host.name);
      const apart = [redis.host.name, ...others.filter(() => random.chance(0.4))];
      const rest = [...others, ...group.sentinels.slice(0, 1).map(({ host }) => host.name), ...group.replicas.map(({ host }) => host.name)];
      const paths = apart.flatMap((one) => rest.filter((name) => !apart.includes(name)).map((name) => [one, name] as const));
      for (const [a, b] of paths) {
        network.cut(a, b);
        network.cut(b, a);
      }
      return () => {
        for (const [a, b] of paths) {
          network.mend(a, b);
          network.mend(b, a);
        }
      };
    },
  },
  {
    name: 'a Sentinel is killed',
    weight: 1,
    maxMs: 20_000,
    strike: ({ servers: { group } }, random) => {
      const sentinel = random.pick(group.sentinels);
      return crash(sentinel.host, () => sentinel.boot());
    },
  },
  {
    name: 'all Sentinels are killed',
    weight: 1,
    maxMs: 15_000,
    strike: ({ servers: { group } }) => {
      for (const { host } of group.sentinels) host.crash();
      return () => {
        for (const sentinel of group.sentinels) if (!sentinel.host.isUp) sentinel.boot();
      };
    },
  },
  {
    name: 'a Sentinel stands still',
    weight: 1,
    maxMs: 20_000,
    strike: ({ servers: { group } }, random) => pause(random.pick(group.sentinels).host),
  },
];

/** Ends a server as processes and machines end, and starts it again. */
export function killServer(redis: WatchedRedis, random: SeededRandom): () => void {
  redis.kill(random.pick(['process', 'process', 'power-loss']));
  const loadingMs = random.below(500);
  return () => {
    if (!redis.host.isUp) redis.boot(loadingMs);
  };
}

/** What the primary writes reaches its replica late, or not at all. */
function holdBack({ network, servers: { redis, group } }: Simulation, random: SeededRandom): () => void {
  return holdBackBetween(network, redis.host.name, random.pick(group.replicas).host.name, random);
}

/** What one server writes reaches the other late, or not at all. */
export function holdBackBetween(network: Network, from: string, to: string, random: SeededRandom): () => void {
  const path = [from, to] as const;
  const maxLatencyMs = random.pick([50, 600, 4_000, Infinity]);
  if (maxLatencyMs === Infinity) {
    network.cut(...path);
    return () => network.mend(...path);
  }
  network.setPath(...path, { minLatencyMs: 20, maxLatencyMs });
  return () => network.setPath(...path, { minLatencyMs: 0.1, maxLatencyMs: 1 });
}
