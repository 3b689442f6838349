import type { SeededRandom } from '../support/seeded-random.ts';
import type { WatchedRedis } from './checker/watched-redis.ts';
import type { Host } from './world/host.ts';
import type { Simulation } from './simulation.ts';

/** Something that goes wrong. `strike` does it and returns how to put it right, as far as it does not heal by itself. */
export interface Fault {
  readonly name: string;
  /** How often it is chosen, beside the others. */
  readonly weight: number;
  /** How long it lasts at most, ms. */
  readonly maxMs: number;
  /**
   * Where it has no place: among servers of Redis that replace one another, because it stands for that, or only where
   * replicas are waited for, because it costs what they have.
   */
  readonly unfitFor?: 'servers that replace one another' | 'replicas that are waited for';
  /** While it lasts, everything is to go on as without it, if nothing else happened when it began. */
  readonly isSurvived?: true;
  strike(simulation: Simulation, random: SeededRandom): (() => void) | undefined;
}

const HOUR_MS = 3_600_000;

/** Crashes a process and starts it again. */
export function crash(host: Host, boot: () => void): () => void {
  host.crash();
  return () => {
    if (!host.isUp) boot();
  };
}

export function pause(host: Host): () => void {
  host.pause();
  return () => host.resume();
}

/** Two hosts that talk to each other. */
function pickPath({ paths }: Simulation, random: SeededRandom): readonly [string, string] {
  const [a, b] = random.pick(paths);
  return random.chance(0.5) ? [a, b] : [b, a];
}

export const FAULTS: readonly Fault[] = [
  {
    name: 'a client is killed',
    weight: 3,
    maxMs: 3_000,
    strike: ({ clients }, random) => {
      const client = random.pick(clients);
      return crash(client.host, () => client.boot());
    },
  },
  { name: 'a client stands still', weight: 1, maxMs: 30_000, strike: ({ clients }, random) => pause(random.pick(clients).host) },
  {
    name: 'a disk of a client is full',
    weight: 1,
    maxMs: 5_000,
    strike: ({ clients }, random) => {
      const { disk } = random.pick(clients);
      disk.isFull = true;
      return () => (disk.isFull = false);
    },
  },
  {
    name: 'a backup of a client is restored',
    weight: 2,
    maxMs: 10_000,
    strike: ({ clients, servers: { view } }, random) => {
      const client = random.pick(clients);
      // What a client holds at the time of its backup, or when that is restored, would be lost or sent twice, and rightly so.
      if (client.disk.held.length > 0 || client.disk.stream === undefined) return undefined;
      const backup = client.disk.backUp();
      return () => {
        if (!client.host.isUp || client.host.isPaused || client.isHolding) return;
        // A database that went back too does not know the numbers that the client then gives away twice.
        if (view.restoreCount > 0) return;
        client.host.crash();
        client.disk.restore(backup);
        client.boot();
      };
    },
  },
  { name: 'the node is killed', weight: 4, maxMs: 2_000, strike: ({ node }) => crash(node.host, () => node.boot()) },
  { name: 'the node stands still, perhaps beyond its leases', weight: 3, maxMs: 12_000, strike: ({ node }) => pause(node.host) },
  {
    name: 'the node is asked to stop',
    weight: 1,
    maxMs: 8_000,
    strike: ({ node }) => {
      void node.stop();
      return () => {
        node.host.crash();
        node.boot();
      };
    },
  },
  {
    name: 'a second node believes that it leads',
    weight: 3,
    maxMs: 10_000,
    strike: ({ rival }) => {
      if (rival.host.isUp) return undefined;
      rival.boot();
      return () => rival.host.crash();
    },
  },
  {
    name: 'the second node stands still while it leads',
    weight: 2,
    maxMs: 15_000,
    strike: ({ rival, at }, random) => {
      if (rival.host.isUp) return undefined;
      rival.boot();
      at(200 + random.below(1_500), () => rival.host.pause());
      return () => {
        rival.host.resume();
        at(500 + random.below(2_000), () => rival.host.crash());
      };
    },
  },
  {
    name: 'a node with another number of partitions is started',
    weight: 3,
    maxMs: 6_000,
    strike: ({ stranger, partitions, servers: { group } }) => {
      // An empty Redis would take its settings, and then refuse the others: that is for the operator to see.
      if (stranger.host.isUp) return undefined;
      const ofPartitions = group.primaries.length === 1 ? [] : Array.from({ length: partitions }, (_, i) => `syncline:{${i}}:meta`);
      const homes = ['syncline:meta', ...ofPartitions].map((home) => ({ home, primary: () => group.primaryOf(home) }));
      const isRecorded = (home: string, { store, evicts }: WatchedRedis) => !evicts && store.getHash(home)?.has('settings') === true;
      if (!homes.every(({ home, primary }) => primary().isServing && isRecorded(home, primary()))) return undefined;
      // So would one that is emptied while the stranger has yet to reach it.
      for (const server of group.servers)
        server.onUpset = () => {
          if (homes.some(({ home, primary }) => primary().host.isUp && !isRecorded(home, primary()))) stranger.host.crash();
        };
      stranger.boot();
      return () => stranger.host.crash();
    },
  },
  {
    name: 'connections are reset',
    weight: 4,
    maxMs: 0,
    strike: (simulation, random) => {
      simulation.network.resetBetween(...pickPath(simulation, random));
      return undefined;
    },
  },
  {
    name: 'a path is cut in one direction',
    weight: 3,
    maxMs: 30_000,
    strike: (simulation, random) => {
      const path = pickPath(simulation, random);
      simulation.network.cut(...path);
      return () => simulation.network.mend(...path);
    },
  },
  {
    name: 'a path is cut',
    weight: 3,
    maxMs: 30_000,
    strike: (simulation, random) => {
      const [a, b] = pickPath(simulation, random);
      simulation.network.cut(a, b);
      simulation.network.cut(b, a);
      return () => {
        simulation.network.mend(a, b);
        simulation.network.mend(b, a);
      };
    },
  },
  {
    name: 'the network splits and heals host by host',
    weight: 1,
    maxMs: 20_000,
    strike: ({ network, paths, at }, random) => {
      const split = paths.filter(() => random.chance(0.5));
      for (const [a, b] of split) {
        network.cut(a, b);
        network.cut(b, a);
      }
      return () => {
        for (const [a, b] of split) {
          at(random.below(3_000), () => network.mend(a, b));
          at(random.below(3_000), () => network.mend(b, a));
        }
      };
    },
  },
  {
    name: 'a path is slow',
    weight: 2,
    maxMs: 20_000,
    strike: (simulation, random) => {
      const path = pickPath(simulation, random);
      simulation.network.setPath(...path, { minLatencyMs: 20, maxLatencyMs: random.pick([100, 800, 3_000]) });
      return () => simulation.network.setPath(...path, { minLatencyMs: 0.1, maxLatencyMs: 1 });
    },
  },
  {
    name: 'a clock jumps',
    weight: 2,
    maxMs: 20_000,
    strike: ({ hosts }, random) => {
      const host = random.pick(hosts);
      const jumpMs = (random.fraction() * 2 - 1) * HOUR_MS;
      host.wallOffsetMs += jumpMs;
      return () => (host.wallOffsetMs -= jumpMs);
    },
  },
];
