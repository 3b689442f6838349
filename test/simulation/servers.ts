import { openRedisQueue } from '../../src/queue/redis/redis-queue.ts';
import { openRedisReader } from '../../src/queue/redis/redis-reader.ts';
import { openMysqlSink } from '../../src/sinks/mysql/mysql.ts';
import type { SeededRandom } from '../support/seeded-random.ts';
import { RestorableView } from './checker/restorable-view.ts';
import { SinkWatch } from './checker/sink-watch.ts';
import { SimMariadb } from './mariadb/server.ts';
import { createDial } from './mariadb/dial.ts';
import type { Backends, Process } from './node/sim-node.ts';
import { driverFactory } from './redis/driver.ts';
import type { SimRedis } from './redis/server.ts';
import { WatchedRedis } from './checker/watched-redis.ts';
import { DEFINITIONS } from './tables.ts';
import type { Host } from './world/host.ts';
import type { Network } from './world/network.ts';
import { randomOf } from './world/seeded.ts';

/** The Redis and the MariaDB that all nodes of a simulation share. */
export interface Servers {
  readonly redis: SimRedis;
  readonly mariadb: SimMariadb;
  /** How a node reaches them. */
  readonly backends: Backends;
  readonly view: RestorableView;
  /** What the view shows of watermarks and dead letters. */
  readonly watch: SinkWatch;
}

export interface ServerHosts {
  readonly redis: Host;
  readonly mariadb: Host;
  readonly network: Network;
  /** Of servers and drivers. */
  readonly random: SeededRandom;
  /** Something is lost in the queue that nobody will be asked for. */
  fault(message: string): void;
}

const DATABASE = 'shop';
/** What the queue of a history never comes near to, unless a fault lowers it. */
export const REDIS_MEMORY_BYTES = 64 * 1024 * 1024;

/** Makes the servers; they run once they are booted. */
export function createServers({ redis: redisHost, mariadb: mariadbHost, network, random, fault }: ServerHosts): Servers {
  const mariadb = new SimMariadb({ host: mariadbHost, network, random, service: 'mariadb', database: DATABASE });
  const view = new RestorableView(mariadb);
  const watch = new SinkWatch(view);
  view.onRestored = () => watch.restored();
  const redisOptionsOfServer = { persistence: 'everysec', maxMemory: REDIS_MEMORY_BYTES } as const;
  const redis = new WatchedRedis(redisHost, network, random, redisOptionsOfServer, watch, fault);
  for (const sql of DEFINITIONS) mariadb.define(sql);
  const redisOptions = ({ host, clock }: Process) => ({
    url: 'redis://redis:6379',
    createDriver: driverFactory(host, clock, network, redis.service),
    random: randomOf(random),
  });
  return {
    redis,
    mariadb,
    backends: {
      openQueue: (process, settings) =>
        openRedisQueue(settings, { ...redisOptions(process), clock: process.clock, shared: process.incarnation !== undefined }),
      openReader: (process) => openRedisReader(redisOptions(process)),
      openSink: ({ host, clock, incarnation }) =>
        openMysqlSink({
          name: 'main',
          url: `mysql://root@mariadb:3306/${DATABASE}`,
          schema: 'strict',
          clock,
          incarnation,
          dial: createDial(host, clock, network, mariadb.service),
        }),
    },
    view,
    watch,
  };
}
