import type { SeededRandom } from '../support/seeded-random.ts';
import type { WatchedRedis } from './checker/watched-redis.ts';
import { type Fault, pause } from './faults.ts';
import { pickPrimary, type RedisGroup } from './redis-group.ts';
import { slotOfKey } from './redis/cluster/slots.ts';
import { holdBackBetween, killServer } from './sentinel-faults.ts';
import type { Simulation } from './simulation.ts';

/** What happens to the nodes of a Redis Cluster, and who looks after them. */
export const REDIS_CLUSTER_FAULTS: readonly Fault[] = [
  {
    name: 'the slot of a partition is handed over',
    weight: 12,
    maxMs: 10_000,
    strike: (simulation, random) => handOver(simulation, random, random.pick([0, 20, 300, 1_000])),
  },
  {
    name: 'whoever hands a slot over dies, and somebody finishes it later',
    weight: 8,
    maxMs: 20_000,
    strike: (simulation, random) => {
      const undo = handOver(simulation, random, random.pick([20, 300]));
      const { administrator } = simulation.servers.group;
      let isOver = false;
      simulation.at(random.below(random.pick([30, 300, 1_500])), () => {
        if (!isOver && undo !== undefined) administrator!.die();
      });
      return (
        undo &&
        (() => {
          isOver = true;
          undo();
        })
      );
    },
  },
  {
    name: 'a master is killed, and its replica may take over',
    weight: 6,
    maxMs: 30_000,
    strike: ({ servers: { group } }, random) => killServer(pickPrimary(group, random), random),
  },
  {
    name: 'a master is killed while its replica lags behind',
    weight: 6,
    maxMs: 30_000,
    strike: ({ network, servers: { group }, at }, random) => {
      const [master, replica] = pickPair(group, random) ?? [];
      if (master === undefined || replica === undefined) return undefined;
      const mend = holdBackBetween(network, master.host.name, replica.host.name, random);
      let undo: (() => void) | undefined;
      let isOver = false;
      at(random.below(4_000), () => {
        if (!isOver && master.host.isUp) undo = killServer(master, random);
      });
      return () => {
        isOver = true;
        mend();
        undo?.();
      };
    },
  },
  {
    name: 'a master and its replica are killed',
    weight: 1,
    maxMs: 10_000,
    strike: ({ servers: { group } }, random) => {
      const master = pickPrimary(group, random);
      const others = group.replicas.filter(({ cluster }) => cluster!.topology.self.master?.host === master.host.name);
      const undo = [master, ...others].map((server) => killServer(server, random));
      return () => undo.forEach((start) => start());
    },
  },
  {
    name: 'a master stands still, and its replica may take over',
    weight: 4,
    maxMs: 20_000,
    strike: ({ servers: { group } }, random) => pause(pickPrimary(group, random).host),
  },
  {
    name: 'a master goes on in a minority, and some nodes with it',
    weight: 8,
    maxMs: 30_000,
    strike: (simulation, random) => {
      const { nodes, clients, servers } = simulation;
      const master = pickPrimary(servers.group, random);
      const others = [...nodes, ...clients].map(({ host }) => host.name).filter(() => random.chance(0.4));
      const rest = [...servers.group.servers, ...nodes, ...clients].map(({ host }) => host.name);
      const apart = [master.host.name, ...others];
      const paths = apart.flatMap((one) => rest.filter((name) => !apart.includes(name)).map((name) => [one, name] as const));
      return cut(simulation, paths);
    },
  },
  {
    name: 'nodes of the cluster lose sight of each other, and nobody else does of them',
    weight: 3,
    maxMs: 20_000,
    strike: (simulation, random) => {
      const names = simulation.servers.group.servers.map(({ host }) => host.name);
      const paths = names.flatMap((one, i) => names.slice(i + 1).map((other) => [one, other] as const));
      return cut(
        simulation,
        paths.filter(() => random.chance(0.4)),
      );
    },
  },
  {
    name: 'a master dies for long, and its replica does without it',
    unfitFor: 'replicas that are waited for',
    isSurvived: true,
    weight: 15,
    maxMs: 300_000,
    strike: ({ servers: { group } }, random) => {
      const [master] = pickPair(group, random) ?? [];
      return master && killServer(master, random);
    },
  },
  {
    name: 'a master loses sight of the other nodes for long, and nobody else does of it',
    unfitFor: 'replicas that are waited for',
    isSurvived: true,
    weight: 15,
    maxMs: 300_000,
    strike: (simulation, random) => {
      const { group } = simulation.servers;
      const [master] = pickPair(group, random) ?? [];
      const others = group.servers.filter((server) => server !== master).map(({ host }) => host.name);
      return (
        master &&
        cut(
          simulation,
          others.map((name) => [master.host.name, name] as const),
        )
      );
    },
  },
  {
    name: 'connections to a master are reset again and again',
    weight: 8,
    maxMs: 0,
    strike: ({ network, nodes, servers: { group }, at }, random) => {
      const [node, master] = [random.pick(nodes), pickPrimary(group, random)];
      for (let i = random.below(8); i >= 0; i--) at(random.below(4_000), () => network.resetBetween(node.host.name, master.host.name));
      return undefined;
    },
  },
  {
    name: 'a node of the cluster comes and goes',
    weight: 3,
    maxMs: 25_000,
    strike: ({ servers: { group }, at }, random) => {
      const server = random.pick(group.servers);
      let isOver = false;
      const turn = () => {
        if (isOver) return;
        if (server.host.isUp) server.kill('process');
        else server.boot();
        at(200 + random.below(5_000), turn);
      };
      turn();
      return () => {
        isOver = true;
        if (!server.host.isUp) server.boot();
      };
    },
  },
  {
    name: 'a replica of a master is killed',
    weight: 2,
    maxMs: 15_000,
    strike: ({ servers: { group } }, random) => (group.replicas.length === 0 ? undefined : killServer(random.pick(group.replicas), random)),
  },
  {
    name: 'the whole cluster restarts empty',
    unfitFor: 'replicas that are waited for',
    weight: 2,
    maxMs: 4_000,
    strike: ({ servers: { group } }) => {
      for (const server of group.servers) server.kill('file-lost');
      return () => {
        for (const server of group.servers) if (!server.host.isUp) server.boot();
      };
    },
  },
];

/** Begins to hand a partition, or what belongs to none, to another master; whoever puts it right closes what is open then. */
function handOver({ servers: { group }, partitions }: Simulation, random: SeededRandom, maxPauseMs: number): (() => void) | undefined {
  const { administrator } = group;
  const keys = ['syncline:meta', ...Array.from({ length: 2 * partitions }, (_, i) => `syncline:{${i % partitions}}:meta`)];
  const key = random.pick(keys);
  const owner = group.primaryOf(key);
  const targets = group.primaries.filter((server) => server !== owner);
  if (administrator === undefined || administrator.isBusy || targets.length === 0) return undefined;
  const target = random.pick(targets);
  // As one that was started a moment ago.
  if (target.isServing && random.chance(0.3)) target.execute(['SCRIPT', 'FLUSH']);
  administrator.begin(slotOfKey(key), target.host.name, maxPauseMs);
  return () => administrator.mend();
}

/** A master and a replica that follows it. */
function pickPair({ replicas, primaries }: RedisGroup, random: SeededRandom): readonly [WatchedRedis, WatchedRedis] | undefined {
  const pairs = replicas.flatMap((replica) => {
    const master = primaries.find(({ host }) => host.name === replica.cluster!.topology.self.master?.host);
    const isFollowing = replica.isServing && String(replica.execute(['ROLE'])).includes(',connected,');
    return master?.isServing === true && isFollowing ? [[master, replica] as const] : [];
  });
  return pairs.length === 0 ? undefined : random.pick(pairs);
}

function cut({ network }: Simulation, paths: readonly (readonly [string, string])[]): () => void {
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
}
