import { mariadbAvailable, startMariadb, type MariadbServer } from '../../test/support/mariadb-server.ts';
import { redisAvailable } from '../../test/support/redis-server.ts';
import { MARIADB_SETTINGS } from '../services/mariadb.ts';

/** The packages of Debian that are not installed. */
export function missingStores(...stores: readonly ('mariadb' | 'redis')[]): string[] {
  const available = { mariadb: mariadbAvailable, redis: redisAvailable };
  return stores.filter((store) => !available[store]()).map((store) => `${store}-server`);
}

export function startDatabase(): Promise<MariadbServer> {
  return startMariadb({ args: MARIADB_SETTINGS });
}
