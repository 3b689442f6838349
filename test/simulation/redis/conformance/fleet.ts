import { startRedis, type RedisServer } from '../../../support/redis-server.ts';
import { SeededRandom } from '../../../support/seeded-random.ts';
import { Host } from '../../world/host.ts';
import { Network } from '../../world/network.ts';
import { Timeline } from '../../world/timeline.ts';
import { Together } from '../../world/wire.ts';
import type { Reply } from '../replies.ts';
import { SimRedis } from '../server.ts';
import { connectReal } from './real-connection.ts';

/** Several servers, real or simulated. */
export interface Fleet {
  connect(server: number): Promise<FleetClient>;
  /** Lets time pass until `isDone`. */
  until(isDone: () => boolean): Promise<void>;
  close(): Promise<void>;
}

/** A connection that tells replies and messages apart by nothing but their order. */
export interface FleetClient {
  /** Everything that was received, in its order. */
  readonly received: readonly Reply[];
  send(args: readonly string[]): void;
}

/** Longer than anything takes in a scenario. */
const PATIENCE_MS = 3_600_000;

export async function realFleet(size: number): Promise<Fleet> {
  const servers: RedisServer[] = [];
  for (let i = 0; i < size; i++) servers.push(await startRedis());
  return {
    connect: async (server) => {
      const connection = await connectReal(servers[server]!.port);
      return { received: connection.others, send: (args) => connection.send(args) };
    },
    until: async (isDone) => {
      while (!isDone()) await new Promise((resolve) => void setTimeout(resolve, 1));
    },
    close: async () => {
      for (const server of servers) await server.close();
    },
  };
}

export async function simulatedFleet(size: number): Promise<Fleet> {
  const timeline = new Timeline();
  const random = new SeededRandom(1);
  const network = new Network(timeline, random);
  const node = new Host('node', timeline);
  node.boot();
  const servers = Array.from({ length: size }, (_, i) => new SimRedis(new Host(`redis-${i}`, timeline), network, random));
  for (const server of servers) server.boot();
  const until = (isDone: () => boolean) => timeline.run(timeline.nowMs + PATIENCE_MS, isDone);
  return {
    connect: async (server) => {
      const received: Reply[] = [];
      let send: FleetClient['send'] | undefined;
      void network.dial(node, servers[server]!.service).then((wire) => {
        wire.open({ message: (message) => void received.push(...((message as Together).messages as Reply[])), closed: () => {} });
        send = (args) => wire.send(new Together([args]));
      });
      await until(() => send !== undefined);
      return { received, send: send! };
    },
    until,
    close: async () => {},
  };
}
