import { Redirections } from './checker/redirections.ts';
import { WatchedRedis } from './checker/watched-redis.ts';
import type { Installation } from './installation.ts';
import { REDIS_MEMORY_BYTES, type RedisGroup, type RedisGroupParts } from './redis-group.ts';
import { Administrator } from './redis/cluster/administrator.ts';
import { SLOT_COUNT, slotOfKey } from './redis/cluster/slots.ts';
import type { Seat } from './redis/cluster/topology.ts';

const MASTERS = ['redis', 'redis-2', 'redis-3'] as const;
const NODE_TIMEOUT_MS = 3_000;

/** A Redis Cluster of three masters, some or all of which have a replica. */
export class ClusterGroup implements RedisGroup {
  readonly servers: readonly [WatchedRedis, ...WatchedRedis[]];
  readonly sentinels = [];
  readonly administrator: Administrator;
  readonly url: string;
  readonly service = undefined;

  constructor({ host, network, random, sink, fault }: RedisGroupParts, { replicated }: NonNullable<Installation['cluster']>) {
    const share = (index: number) => Math.floor((SLOT_COUNT * index) / MASTERS.length);
    const masters: Seat[] = MASTERS.map((name, i) => ({ host: name, role: [share(i), share(i + 1)] }));
    const replicas: Seat[] = MASTERS.slice(0, replicated).map((name) => ({ host: `${name}-replica`, role: name }));
    const seats = [...masters, ...replicas];
    const cluster = { seats, nodeTimeoutMs: NODE_TIMEOUT_MS, requiresFullCoverage: false };
    const options = { persistence: 'everysec', maxMemory: REDIS_MEMORY_BYTES, cluster } as const;
    const [first, ...others] = seats.map((seat) => new WatchedRedis(host(seat.host), network, random, options, sink, fault));
    this.servers = [first!, ...others];
    const redirections = new Redirections(fault);
    for (const server of this.servers) server.onAnswered = (...answered) => redirections.answered(server.host.name, ...answered);
    const names = seats.map((seat) => seat.host);
    this.administrator = new Administrator(host('administrator'), network, random, names);
    this.url = `redis+cluster://${names.join(',')}`;
  }

  /** That of the highest epoch, of those that claim the slot. */
  primaryOf(key: string): WatchedRedis {
    const slot = slotOfKey(key);
    const claims = this.primaries.filter(({ cluster }) => cluster!.topology.ownerOf(slot) === cluster!.topology.self);
    const epochOf = ({ cluster }: WatchedRedis) => cluster!.topology.self.configEpoch;
    return claims.reduce((best, server) => (epochOf(server) > epochOf(best) ? server : best), claims[0] ?? this.servers[0]);
  }

  get primaries(): readonly WatchedRedis[] {
    return this.servers.filter(({ cluster }) => cluster!.isMaster);
  }

  get replicas(): readonly WatchedRedis[] {
    return this.servers.filter(({ cluster }) => !cluster!.isMaster);
  }

  start(): void {
    for (const server of this.servers) server.boot();
  }

  bootAll(): void {
    for (const server of this.servers) if (!server.host.isUp) server.boot();
    this.administrator.mend();
  }
}
