import { dirname } from 'node:path';
import { mariadbAvailable, startMariadb, type MariadbServer } from '../../test/support/mariadb-server.ts';
import { presentRows, TABLE, type Workload } from '../workload.ts';
import { presentRowsFile } from './input-files.ts';
import { removeAtExit } from './leftovers.ts';
import { DATABASE, runMariadbClient } from './mariadb-client.ts';

/**
 * Beyond what Debian's packages set: as many would set up a small server. Every commit is flushed to the disk, and nothing
 * of the tables has to be read back from it.
 */
export const MARIADB_SETTINGS = [
  '--innodb-flush-log-at-trx-commit=1',
  '--innodb-flush-method=fsync',
  '--innodb-buffer-pool-size=512M',
  '--innodb-log-file-size=512M',
  '--local-infile=1',
] as const;

export async function missingMariadb(): Promise<string | undefined> {
  return mariadbAvailable() ? undefined : 'MariaDB is not installed: apt-get install mariadb-server';
}

/**
 * Starts a MariaDB of its own in a fresh folder, with the table `item` as `workload` finds it and an empty `warm_up` of the
 * same shape.
 */
export async function startDatabase(workload: Workload): Promise<MariadbServer> {
  const server = await startMariadb({ args: MARIADB_SETTINGS });
  removeAtExit(dirname(server.datadir));
  try {
    await server.query([`CREATE DATABASE ${DATABASE}`, `USE ${DATABASE}`, TABLE, TABLE.replace('item', 'warm_up')]);
    if (presentRows(workload) > 0) {
      const file = presentRowsFile(workload);
      await runMariadbClient(server, { statement: `LOAD DATA LOCAL INFILE '${file}' INTO TABLE item` });
    }
    return server;
  } catch (error) {
    await server.close();
    throw error;
  }
}
