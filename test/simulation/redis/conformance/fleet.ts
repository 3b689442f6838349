import { freeze, thaw } from '../../../support/freeze.ts';
import { startRedis, type RedisServer } from '../../../support/redis-server.ts';
import { SeededRandom } from '../../../support/seeded-random.ts';
import { Host } from '../../world/host.ts';
import { Network } from '../../world/network.ts';
import { Timeline } from '../../world/timeline.ts';
import { Together } from '../../world/wire.ts';
import type { Reply } from '../replies.ts';
import { SimRedis } from '../server.ts';
import { connectReal, type RealConnection } from './real-connection.ts';

/** Several servers, real or simulated. */
export interface Fleet {
  /** Where the servers are, as REPLICAOF takes it. */
  readonly addresses: readonly (readonly [host: string, port: string])[];
  connect(server: number): Promise<FleetClient>;
  /** Lets time pass until `isDone`. */
  until(isDone: () => boolean): Promise<void>;
  pause(server: number): Promise<void>;
  resume(server: number): Promise<void>;
  kill(server: number): Promise<void>;
  close(): Promise<void>;
}

/** A connection that tells replies and messages apart by nothing but their order. */
export type FleetClient = Pick<RealConnection, 'others' | 'isClosed' | 'send'>;

/** Longer than anything takes in a scenario. */
const PATIENCE_MS = 3_600_000;

export async function realFleet(size: number): Promise<Fleet> {
  const servers: RedisServer[] = [];
  for (let i = 0; i < size; i++) servers.push(await startRedis({ args: ['--repl-diskless-sync-delay', '0'] }));
  return {
    addresses: servers.map(({ port }) => ['127.0.0.1', String(port)]),
    connect: (server) => connectReal(servers[server]!.port),
    until: async (isDone) => {
      while (!isDone()) await new Promise((resolve) => void setTimeout(resolve, 1));
    },
    pause: (server) => freeze(servers[server]!.pid),
    resume: async (server) => thaw(servers[server]!.pid),
    kill: (server) => servers[server]!.kill(),
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
    addresses: servers.map(({ service }) => [service, '6379']),
    connect: async (server) => {
      const others: Reply[] = [];
      let send: FleetClient['send'] | undefined;
      let isClosed = false;
      void network.dial(node, servers[server]!.service).then((wire) => {
        wire.open({
          message: (message) => void others.push(...((message as Together).messages as Reply[])),
          closed: () => (isClosed = true),
        });
        send = (args) => wire.send(new Together([args]));
      });
      await until(() => send !== undefined);
      return {
        others,
        send: send!,
        get isClosed() {
          return isClosed;
        },
      };
    },
    until,
    pause: async (server) => servers[server]!.host.pause(),
    resume: async (server) => servers[server]!.host.resume(),
    kill: async (server) => servers[server]!.kill('process'),
    close: async () => {},
  };
}
