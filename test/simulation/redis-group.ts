import type { SeededRandom } from '../support/seeded-random.ts';
import type { SinkWatch } from './checker/sink-watch.ts';
import type { WatchedRedis } from './checker/watched-redis.ts';
import type { Installation } from './installation.ts';
import type { Administrator } from './redis/cluster/administrator.ts';
import type { SimSentinel } from './redis/sentinel/sentinel.ts';
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

/** All that there is of Redis in an installation. */
export interface RedisGroup {
  readonly servers: readonly [WatchedRedis, ...WatchedRedis[]];
  readonly sentinels: readonly SimSentinel[];
  /** Whoever hands slots of a cluster over. */
  readonly administrator: Administrator | undefined;
  /** Where nodes are told that their queue is. */
  readonly url: string;
  /** What every connection leads to; undefined where that is found out. */
  readonly service: string | undefined;
  /** Those that are meant to take writes now: one, or the masters of a cluster. */
  readonly primaries: readonly WatchedRedis[];
  /** All others. */
  readonly replicas: readonly WatchedRedis[];
  /** The one that is meant to have a key. */
  primaryOf(key: string): WatchedRedis;
  start(): void;
  /** Starts what does not run. */
  bootAll(): void;
}

/** What the queue of a history never comes near to, unless a fault lowers it. */
export const REDIS_MEMORY_BYTES = 64 * 1024 * 1024;

/** One of the servers that take writes. */
export function pickPrimary({ primaries }: RedisGroup, random: SeededRandom): WatchedRedis {
  return primaries.length === 1 ? primaries[0]! : random.pick(primaries);
}
