import type { SeededRandom } from '../support/seeded-random.ts';
import type { SinkWatch } from './checker/sink-watch.ts';
import { WatchedRedis } from './checker/watched-redis.ts';
import type { Installation } from './installation.ts';
import { SimSentinel } from './redis/sentinel/sentinel.ts';
import type { Host } from './world/host.ts';
import type { Network } from './world/network.ts';

export interface RedisGroupParts {
  /** Gives the host of a name. */
  readonly host: (name: string) => Host;
  readonly network: Network;
  readonly random: SeededRandom;
  readonly installation: Installation;
  readonly sink: SinkWatch;
  /** Something is lost in the queue that nobody will be asked for. */
  fault(message: string): void;
}

/** What the queue of a history never comes near to, unless a fault lowers it. */
export const REDIS_MEMORY_BYTES = 64 * 1024 * 1024;

const SERVERS = ['redis', 'redis-2'] as const;
const SENTINELS = ['sentinel-1', 'sentinel-2', 'sentinel-3'];
const NAME = 'main';
const QUORUM = 2;
const DOWN_AFTER_MS = 2_000;
const FAILOVER_TIMEOUT_MS = 6_000;

/** The one Redis of an installation, or a primary, its replica and the Sentinels that watch them. */
export class RedisGroup {
  readonly servers: readonly [WatchedRedis, ...WatchedRedis[]];
  readonly sentinels: readonly SimSentinel[];
  /** Where nodes are told that their queue is. */
  readonly url: string;
  /** What every connection leads to; undefined where that is found out. */
  readonly service: string | undefined;

  constructor({ host, network, random, installation: { sentinels }, sink, fault }: RedisGroupParts) {
    const options = { persistence: 'everysec', maxMemory: REDIS_MEMORY_BYTES } as const;
    const server = (name: string) => new WatchedRedis(host(name), network, random, options, sink, fault);
    const [first, second] = SERVERS;
    this.servers = sentinels === undefined ? [server(first)] : [server(first), server(second)];
    if (sentinels === undefined) {
      this.sentinels = [];
      this.url = `redis://${first}:6379`;
      this.service = first;
      return;
    }
    const group = { name: NAME, primary: first, sentinels: SENTINELS, quorum: QUORUM };
    const times = { downAfterMs: DOWN_AFTER_MS, failoverTimeoutMs: FAILOVER_TIMEOUT_MS };
    this.sentinels = SENTINELS.map((name) => new SimSentinel({ host: host(name), network, random, ...group, ...times }));
    this.url = `redis+sentinel://${SENTINELS.join(',')}/${NAME}`;
    for (const one of this.servers) one.setMinReplicas(sentinels.minReplicas);
  }

  /** Whom most Sentinels name. */
  get primary(): WatchedRedis {
    const votes = ({ host }: WatchedRedis) => this.sentinels.filter(({ primary }) => primary === host.name).length;
    return this.servers.reduce((best, server) => (votes(server) > votes(best) ? server : best));
  }

  /** All others. */
  get replicas(): readonly WatchedRedis[] {
    const { primary } = this;
    return this.servers.filter((server) => server !== primary);
  }

  start(): void {
    this.bootAll();
    const [first, ...others] = this.servers;
    for (const other of others) other.execute(['REPLICAOF', first.service, '6379']);
  }

  /** Starts what does not run. */
  bootAll(): void {
    for (const part of [...this.servers, ...this.sentinels]) if (!part.host.isUp) part.boot();
  }
}
