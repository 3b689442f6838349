import type { SeededRandom } from '../support/seeded-random.ts';
import { crash, pause, type Fault } from './faults.ts';
import type { SimNode } from './node/sim-node.ts';
import type { Simulation } from './simulation.ts';

/** What several nodes of one installation can do to each other, and what can come between them. */
export const CLUSTER_FAULTS: readonly Fault[] = [
  {
    name: 'a node of several is killed',
    weight: 6,
    maxMs: 6_000,
    strike: (simulation, random) => {
      const node = pickNode(simulation, random);
      return crash(node.host, () => node.boot());
    },
  },
  {
    name: 'all nodes are killed',
    weight: 1,
    maxMs: 3_000,
    strike: ({ nodes, at }, random) => {
      for (const { host } of nodes) host.crash();
      return () => {
        for (const node of nodes)
          at(random.below(2_000), () => {
            if (!node.host.isUp) node.boot();
          });
      };
    },
  },
  {
    name: 'a node of several stands still, perhaps beyond its leases',
    weight: 6,
    maxMs: 15_000,
    strike: (simulation, random) => pause(pickNode(simulation, random).host),
  },
  {
    name: 'a node stands still again and again',
    weight: 2,
    maxMs: 20_000,
    strike: (simulation, random) => {
      const { host } = pickNode(simulation, random);
      return repeated(simulation, random, 4_000, (isOver) => (host.isPaused || isOver ? host.resume() : host.pause()));
    },
  },
  {
    name: 'a node comes and goes',
    weight: 3,
    maxMs: 25_000,
    strike: (simulation, random) => {
      const node = pickNode(simulation, random);
      return repeated(simulation, random, 5_000, (isOver) => {
        if (!node.host.isUp) node.boot();
        else if (!isOver) node.host.crash();
      });
    },
  },
  {
    name: 'nodes are restarted one after the other',
    weight: 3,
    maxMs: 0,
    strike: ({ nodes }) => {
      const restart = async (node: SimNode) => {
        if (!node.host.isRunning) return;
        await node.stop();
        if (!node.host.isUp) node.boot();
      };
      void nodes.reduce((before, node) => before.then(() => restart(node)), Promise.resolve());
      return undefined;
    },
  },
  {
    name: 'a node is taken out of service and put back',
    weight: 3,
    maxMs: 15_000,
    strike: (simulation, random) => {
      const node = pickNode(simulation, random);
      node.drain();
      return () => node.undrain();
    },
  },
  {
    name: 'a node is cut off from Redis',
    weight: 4,
    maxMs: 15_000,
    strike: (simulation, random) => cutOff(simulation, random, pickNode(simulation, random), redisOf(simulation)),
  },
  {
    name: 'a node is cut off from the database',
    weight: 3,
    maxMs: 15_000,
    strike: (simulation, random) => cutOff(simulation, random, pickNode(simulation, random), ['mariadb']),
  },
  {
    name: 'a node is cut off from Redis and the database',
    weight: 2,
    maxMs: 15_000,
    strike: (simulation, random) => cutOff(simulation, random, pickNode(simulation, random), [...redisOf(simulation), 'mariadb']),
  },
  {
    name: 'a node is cut off from clients',
    weight: 2,
    maxMs: 30_000,
    strike: (simulation, random) => {
      const clients = simulation.clients.map(({ host }) => host.name);
      return cutOff(simulation, random, pickNode(simulation, random), clients);
    },
  },
  {
    name: 'leases are deleted',
    weight: 2,
    maxMs: 0,
    strike: ({ servers: { group } }, random) => {
      const partitions = Array.from({ length: 4 }, (_, i) => i).filter(() => random.chance(0.5));
      for (const lease of partitions.map((partition) => `syncline:{${partition}}:lease:main`)) {
        const redis = group.primaryOf(lease);
        if (redis.host.isUp) redis.execute(['DEL', lease]);
      }
      return undefined;
    },
  },
  {
    name: 'what nodes tell each other is lost, late, or comes twice',
    weight: 6,
    maxMs: 150_000,
    strike: ({ servers: { group }, at }, random) => {
      const shares = random.pick([
        [1, 0],
        [0.3, 0.3],
        [0, 1],
      ]);
      const meant = [...group.primaries];
      for (const redis of meant)
        redis.onPublish = (publish) => {
          if (random.chance(shares[0]!)) return;
          if (random.chance(shares[1]!)) at(random.below(8_000), () => redis.host.isUp && publish());
          if (!random.chance(shares[1]!)) publish();
        };
      return () => {
        for (const redis of meant) redis.onPublish = undefined;
      };
    },
  },
];

/** The one that leads as often as any. */
function pickNode({ nodes }: Simulation, random: SeededRandom): SimNode {
  const primaries = nodes.filter((node) => node.isPrimary);
  return random.pick(primaries.length > 0 && random.chance(0.5) ? primaries : nodes);
}

/** What a node that is cut off from Redis does not reach: of a cluster all of it. */
function redisOf({ installation, servers: { group } }: Simulation): readonly string[] {
  return installation.cluster === undefined ? ['redis'] : group.servers.map(({ host }) => host.name);
}

/** In one direction or both. */
function cutOff({ network }: Simulation, random: SeededRandom, { host }: SimNode, others: readonly string[]): () => void {
  const [isOut, isBack] = random.pick([
    [true, true],
    [true, true],
    [true, false],
    [false, true],
  ] as const);
  const paths = others.flatMap((other) => [
    ...(isOut ? [[host.name, other] as const] : []),
    ...(isBack ? [[other, host.name] as const] : []),
  ]);
  for (const path of paths) network.cut(...path);
  return () => {
    for (const path of paths) network.mend(...path);
  };
}

/** Does something at once and again and again; the last time it is told that it is over. */
function repeated({ at }: Simulation, random: SeededRandom, maxPauseMs: number, run: (isOver: boolean) => void): () => void {
  let isOver = false;
  const turn = () => {
    if (isOver) return;
    run(false);
    at(200 + random.below(maxPauseMs), turn);
  };
  turn();
  return () => {
    isOver = true;
    run(true);
  };
}
