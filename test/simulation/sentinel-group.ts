import { WatchedRedis } from './checker/watched-redis.ts';
import { REDIS_MEMORY_BYTES, type RedisGroup, type RedisGroupParts } from './redis-group.ts';
import { SimSentinel } from './redis/sentinel/sentinel.ts';

const SERVERS = ['redis', 'redis-2'] as const;
const SENTINELS = ['sentinel-1', 'sentinel-2', 'sentinel-3'];
const NAME = 'main';
const QUORUM = 2;
const DOWN_AFTER_MS = 2_000;
const FAILOVER_TIMEOUT_MS = 6_000;

/** The one Redis of an installation, or a primary, its replica and the Sentinels that watch them. */
export class SentinelGroup implements RedisGroup {
  readonly servers: readonly [WatchedRedis, ...WatchedRedis[]];
  readonly sentinels: readonly SimSentinel[];
  readonly administrator = undefined;
  readonly url: string;
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

  get primaries(): readonly WatchedRedis[] {
    return [this.primary];
  }

  primaryOf(): WatchedRedis {
    return this.primary;
  }

  get replicas(): readonly WatchedRedis[] {
    const { primary } = this;
    return this.servers.filter((server) => server !== primary);
  }

  start(): void {
    this.bootAll();
    const [first, ...others] = this.servers;
    for (const other of others) other.execute(['REPLICAOF', first.service, '6379']);
  }

  bootAll(): void {
    for (const part of [...this.servers, ...this.sentinels]) if (!part.host.isUp) part.boot();
  }
}
