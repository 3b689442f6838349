import { mariadbAvailable, startMariadb, type MariadbServer } from '../../test/support/mariadb-server.ts';
import { redisAvailable, startRedis, type RedisServer } from '../../test/support/redis-server.ts';

/** Every commit is flushed to the disk, and nothing of the tables has to be read back from it. */
const MARIADB_SETTINGS = [
  '--innodb-flush-log-at-trx-commit=1',
  '--innodb-flush-method=fsync',
  '--innodb-buffer-pool-size=512M',
  '--innodb-log-file-size=512M',
] as const;

/** As the documentation of Redis and BullMQ recommends where contents matter; nothing is rewritten while something is measured. */
const REDIS_SETTINGS = [
  ...['--appendonly', 'yes', '--appendfsync', 'everysec', '--auto-aof-rewrite-percentage', '0'],
  ...['--maxmemory-policy', 'noeviction'],
] as const;

/** The packages of Debian that are not installed. */
export function missingStores(...stores: readonly ('mariadb' | 'redis')[]): string[] {
  const available = { mariadb: mariadbAvailable, redis: redisAvailable };
  return stores.filter((store) => !available[store]()).map((store) => `${store}-server`);
}

export function startDatabase(): Promise<MariadbServer> {
  return startMariadb({ args: MARIADB_SETTINGS });
}

export function startQueueRedis(): Promise<RedisServer> {
  return startRedis({ args: REDIS_SETTINGS });
}
