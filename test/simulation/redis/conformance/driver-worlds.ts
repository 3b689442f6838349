import { Redis, type RedisOptions } from 'ioredis';
import type { CreateDriver } from '../../../../src/queue/redis/link.ts';
import { freePort } from '../../../support/free-port.ts';
import { freeze, thaw } from '../../../support/freeze.ts';
import { startRedis, type RedisServer } from '../../../support/redis-server.ts';
import { SeededRandom } from '../../../support/seeded-random.ts';
import { Host } from '../../world/host.ts';
import { Network } from '../../world/network.ts';
import { Timeline } from '../../world/timeline.ts';
import { driverFactory } from '../driver.ts';
import { SimRedis } from '../server.ts';
import { connectReal } from './real-connection.ts';

/** A server and a driver, both real or both simulated. The server does not run at the beginning. */
export interface DriverWorld {
  readonly createDriver: CreateDriver;
  startServer(): Promise<void>;
  killServer(): Promise<void>;
  pauseServer(): Promise<void>;
  resumeServer(): Promise<void>;
  setRole(role: 'master' | 'replica'): Promise<void>;
  /** From another connection. */
  publish(channel: string, message: string): Promise<void>;
  sleep(ms: number): Promise<void>;
  /** Lets the driver open its socket, and not more. */
  tick(): Promise<void>;
  close(): Promise<void>;
}

export async function realWorld(): Promise<DriverWorld> {
  const port = await freePort();
  let server: RedisServer | undefined;
  return {
    createDriver: (options: RedisOptions) => new Redis({ ...options, host: '127.0.0.1', port, replyMapping: 'legacy' }),
    startServer: async () => {
      if (server === undefined) server = await startRedis({ port });
      else await server.restart();
    },
    killServer: () => server!.kill(),
    pauseServer: () => freeze(server!.pid),
    resumeServer: async () => thaw(server!.pid),
    setRole: async (role) => {
      const connection = await connectReal(port);
      await connection.execute(role === 'master' ? ['REPLICAOF', 'NO', 'ONE'] : ['REPLICAOF', '127.0.0.1', '1']);
      connection.close();
    },
    publish: async (channel, message) => {
      const connection = await connectReal(port);
      await connection.execute(['PUBLISH', channel, message]);
      connection.close();
    },
    sleep: (ms) => new Promise((resolve) => void setTimeout(resolve, ms)),
    tick: async () => {
      for (let i = 0; i < 2; i++) await new Promise((resolve) => process.nextTick(resolve));
    },
    close: async () => server?.close(),
  };
}

export async function simulatedWorld(): Promise<DriverWorld> {
  const timeline = new Timeline();
  const random = new SeededRandom(1);
  const network = new Network(timeline, random);
  const [node, machine] = [new Host('node', timeline), new Host('redis', timeline)];
  const redis = new SimRedis(machine, network, random, { persistence: 'off' });
  return {
    createDriver: driverFactory(node, node.boot(), network, redis.service),
    startServer: async () => redis.boot(),
    killServer: async () => redis.kill('process'),
    pauseServer: async () => machine.pause(),
    resumeServer: async () => machine.resume(),
    setRole: async (role) => redis.setRole(role),
    publish: async (channel, message) => void redis.execute(['PUBLISH', channel, message]),
    sleep: (ms) => timeline.run(timeline.nowMs + ms),
    tick: async () => {
      for (let i = 0; i < 4; i++) await Promise.resolve();
    },
    close: async () => {},
  };
}
