import { redisAvailable, startRedis, type RedisServer } from '../../test/support/redis-server.ts';
import { removeAtExit } from './leftovers.ts';

/** As Redis is set where its contents matter; nothing is rewritten in the background while something is measured. */
export const REDIS_SETTINGS = [
  ...['--appendonly', 'yes', '--appendfsync', 'everysec', '--auto-aof-rewrite-percentage', '0'],
  // Our server checks it: a queue that evicts is none.
  ...['--maxmemory-policy', 'noeviction'],
] as const;

export async function missingRedis(): Promise<string | undefined> {
  return redisAvailable() ? undefined : 'Redis is not installed: apt-get install redis-server redis-tools';
}

/** Starts a Redis of its own in a fresh folder. */
export async function startQueueRedis(): Promise<RedisServer> {
  const server = await startRedis({ args: REDIS_SETTINGS });
  removeAtExit(server.dir);
  return server;
}
