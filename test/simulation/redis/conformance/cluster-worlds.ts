import { startRedisCluster } from '../../../support/redis-cluster.ts';
import { SeededRandom } from '../../../support/seeded-random.ts';
import { Host } from '../../world/host.ts';
import { Network } from '../../world/network.ts';
import { Timeline } from '../../world/timeline.ts';
import { Together } from '../../world/wire.ts';
import { SLOT_COUNT } from '../cluster/slots.ts';
import type { Seat } from '../cluster/topology.ts';
import type { Reply } from '../replies.ts';
import { SimRedis } from '../server.ts';
import { connectReal } from './real-connection.ts';

/** A cluster of three masters, which are the servers 0 to 2, with a replica each, which are 3 to 5; real or simulated. */
export interface ClusterWorld {
  readonly addresses: readonly (readonly [host: string, port: string])[];
  connect(server: number): Promise<ClusterClient>;
  kill(server: number): Promise<void>;
  restart(server: number): Promise<void>;
  /** Lets a moment pass. */
  pass(): Promise<void>;
  close(): Promise<void>;
}

export interface ClusterClient {
  execute(args: readonly string[]): Promise<Reply>;
}

export const MASTERS = 3;
/** As `startRedisCluster` has it. */
const NODE_TIMEOUT_MS = 3_000;
const PATIENCE_MS = 60_000;

export async function realClusterWorld(): Promise<ClusterWorld> {
  const cluster = await startRedisCluster({ masters: MASTERS, replicas: 1, args: ['--cluster-require-full-coverage', 'no'] });
  const { nodes } = cluster;
  const connections: { close(): void }[] = [];
  return {
    addresses: nodes.map(({ port }) => ['127.0.0.1', String(port)]),
    connect: async (server) => {
      const connection = await connectReal(nodes[server]!.port);
      connections.push(connection);
      return connection;
    },
    kill: (server) => nodes[server]!.kill(),
    restart: (server) => nodes[server]!.restart(),
    pass: () => new Promise((resolve) => void setTimeout(resolve, 50)),
    close: async () => {
      for (const connection of connections) connection.close();
      await cluster.close();
    },
  };
}

export async function simulatedClusterWorld(): Promise<ClusterWorld> {
  const timeline = new Timeline();
  const random = new SeededRandom(1);
  const network = new Network(timeline, random);
  const share = (index: number) => Math.floor((SLOT_COUNT * index) / MASTERS);
  const names = Array.from({ length: 2 * MASTERS }, (_, i) => `redis-${i}`);
  const seats = names.map((host, i): Seat => ({ host, role: i < MASTERS ? [share(i), share(i + 1)] : names[i - MASTERS]! }));
  const cluster = { seats, nodeTimeoutMs: NODE_TIMEOUT_MS, requiresFullCoverage: false };
  const servers = names.map((name) => new SimRedis(new Host(name, timeline), network, random, { cluster }));
  for (const server of servers) server.boot();
  const user = new Host('user', timeline);
  user.boot();
  const until = (isDone: () => boolean) => timeline.run(timeline.nowMs + PATIENCE_MS, isDone);
  const world: ClusterWorld = {
    addresses: names.map((name) => [name, '6379']),
    connect: async (server) => {
      const replies: Reply[] = [];
      let send: ((args: readonly string[]) => void) | undefined;
      void network.dial(user, names[server]!).then((wire) => {
        wire.open({ message: (message) => void replies.push(...((message as Together).messages as Reply[])), closed: () => {} });
        send = (args) => wire.send(new Together([args]));
      });
      await until(() => send !== undefined);
      return {
        execute: async (args) => {
          send!(args);
          await until(() => replies.length > 0);
          return replies.shift()!;
        },
      };
    },
    kill: async (server) => servers[server]!.kill('process'),
    restart: async (server) => servers[server]!.boot(),
    pass: () => timeline.run(timeline.nowMs + 50),
    close: async () => {},
  };
  while (servers.some((server) => server.cluster!.isDown)) await world.pass();
  return world;
}
