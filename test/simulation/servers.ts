import { openRedisQueue } from '../../src/queue/redis/redis-queue.ts';
import { openRedisReader } from '../../src/queue/redis/redis-reader.ts';
import { openMysqlSink } from '../../src/sinks/mysql/mysql.ts';
import type { SeededRandom } from '../support/seeded-random.ts';
import { RestorableView } from './checker/restorable-view.ts';
import { SinkWatch } from './checker/sink-watch.ts';
import type { WatchedRedis } from './checker/watched-redis.ts';
import { replicasOf, type Installation } from './installation.ts';
import { ClusterGroup } from './cluster-group.ts';
import { createDial } from './mariadb/dial.ts';
import { SimMariadb } from './mariadb/server.ts';
import type { Backends, Process } from './node/sim-node.ts';
import type { RedisGroup } from './redis-group.ts';
import { driverFactory } from './redis/driver.ts';
import { SentinelGroup } from './sentinel-group.ts';
import { DEFINITIONS } from './tables.ts';
import type { Host } from './world/host.ts';
import type { Network } from './world/network.ts';
import { randomOf } from './world/seeded.ts';

/** The Redis and the MariaDB that all nodes of a simulation share. */
export interface Servers {
  /** The Redis that is meant to take writes now; of a cluster, one of those. */
  readonly redis: WatchedRedis;
  /** All that there is of Redis. */
  readonly group: RedisGroup;
  readonly mariadb: SimMariadb;
  /** How a node reaches them. */
  readonly backends: Backends;
  readonly view: RestorableView;
  /** What the view shows of watermarks and dead letters. */
  readonly watch: SinkWatch;
}

export interface ServersParts {
  /** Gives the host of a name. */
  readonly host: (name: string) => Host;
  readonly network: Network;
  /** Of servers and drivers. */
  readonly random: SeededRandom;
  readonly installation: Installation;
  /** Something is lost in the queue that nobody will be asked for. */
  fault(message: string): void;
}

const DATABASE = 'shop';
/** Three of four frames of a history are larger, and kept apart from the lists. */
const APART_LIMITS = { frameBytes: 57, callBytes: 57 };

/** Makes the servers; they run once they are booted. */
export function createServers({ host: hostOf, network, random, installation, fault }: ServersParts): Servers {
  const mariadb = new SimMariadb({ host: hostOf('mariadb'), network, random, service: 'mariadb', database: DATABASE });
  const view = new RestorableView(mariadb);
  const watch = new SinkWatch(view);
  view.onRestored = () => watch.restored();
  const parts = { host: hostOf, network, random, installation, sink: watch, fault };
  const { cluster } = installation;
  const group = cluster === undefined ? new SentinelGroup(parts) : new ClusterGroup(parts, cluster);
  for (const sql of DEFINITIONS) mariadb.define(sql);
  const replicas = replicasOf(installation);
  const redisOptions = ({ host, clock }: Process) => ({
    url: group.url,
    createDriver: driverFactory(host, clock, network, group.service),
    random: randomOf(random),
    clock,
  });
  return {
    get redis() {
      return group.primaries[0]!;
    },
    group,
    mariadb,
    backends: {
      openQueue: (process, settings) =>
        openRedisQueue(settings, {
          ...redisOptions(process),
          apartLimits: APART_LIMITS,
          replicas,
          shared: process.incarnation !== undefined,
        }),
      openReader: (process) => openRedisReader(redisOptions(process)),
      openSink: ({ host, clock, incarnation }, settings) =>
        openMysqlSink({
          name: 'main',
          url: `mysql://root@mariadb:3306/${DATABASE}`,
          schema: 'strict',
          clock,
          incarnation,
          settings,
          dial: createDial(host, clock, network, mariadb.service),
        }),
    },
    view,
    watch,
  };
}
