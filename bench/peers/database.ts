import type { ConnectionOptions } from 'mysql2/promise';
import { variable } from './start-line.ts';

/** Where the consumer of a peer writes. */
export function databaseOptions(): ConnectionOptions {
  return { host: '127.0.0.1', port: Number(variable('MARIADB_PORT')), user: 'root', database: variable('MARIADB_DATABASE') };
}
