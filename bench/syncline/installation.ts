import type { MariadbServer } from '../../test/support/mariadb-server.ts';
import type { RedisServer } from '../../test/support/redis-server.ts';
import type { Watch } from '../comparison.ts';
import { startSender, type Sender } from '../load/sender.ts';
import type { Carrier } from '../load/sender-messages.ts';
import type { Material } from '../load/record-tapes.ts';
import { warmUpWorkload } from '../scaled-workload.ts';
import { DATABASE } from '../services/mariadb-client.ts';
import { missingMariadb, startDatabase } from '../services/mariadb.ts';
import { missingRedis, startQueueRedis } from '../services/redis.ts';
import type { Workload } from '../workload.ts';
import { startServer, type SynclineServer } from './server.ts';

/** Our server between a Redis and a MariaDB of its own, warm. */
export interface Installation {
  readonly redis: RedisServer;
  readonly mariadb: MariadbServer;
  readonly server: SynclineServer;
  close(): Promise<void>;
}

export async function missingForInstallation(): Promise<string | undefined> {
  return (await missingRedis()) ?? (await missingMariadb());
}

/** Starts everything in fresh folders, with the rows that `workload` finds, and sends the warm-up through it. */
export async function startInstallation(
  workload: Workload,
  scale: number,
  watch?: Watch,
  env: Readonly<Record<string, string>> = {},
): Promise<Installation> {
  const closers: (() => Promise<void>)[] = [];
  const close = async () => {
    for (const one of closers.splice(0).reverse()) await one();
  };
  try {
    const redis = await startQueueRedis();
    closers.push(() => redis.close());
    const mariadb = await startDatabase(workload);
    closers.push(() => mariadb.close());
    const server = await startServer({ env: { SYNCLINE_QUEUE: redis.url, SYNCLINE_SINK: mariadb.url(DATABASE), ...env }, watch });
    closers.push(() => server.close());
    await warmUp(server, scale);
    return { redis, mariadb, server, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Writes to a table of its own until everything is applied. */
export async function warmUp(server: SynclineServer, scale: number): Promise<void> {
  const workload = warmUpWorkload(scale);
  const sender = await senderTo(server, { kind: 'items', table: 'warm_up', workload, batching: 'as the client' });
  sender.go();
  await sender.applied();
  sender.close();
}

export interface SenderOptions {
  readonly connections?: number;
  readonly framesPerSecond?: number;
  readonly carrier?: Carrier;
}

/** As many connections as `redis-benchmark` is given. */
export const CONNECTIONS = 8;
/** The default of `queue.partitions`. */
export const PARTITIONS = 16;

export function senderTo(server: SynclineServer, material: Material, options: SenderOptions = {}): Promise<Sender> {
  const { host, token } = server;
  const port = options.carrier === 'websocket' ? server.webPort : server.port;
  return startSender({ host, port, token, material, partitions: PARTITIONS, connections: CONNECTIONS, ...options });
}
