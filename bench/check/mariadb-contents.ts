import type { MariadbServer } from '../../test/support/mariadb-server.ts';
import { DATABASE } from '../services/mariadb-client.ts';
import type { Workload } from '../workload.ts';
import { checkContents } from './expected.ts';

const CONTENTS = `SELECT COUNT(*) AS n, COALESCE(SUM(CRC32(CONCAT_WS('|', id, sku, name, price, stock, changed_at))), 0) AS checksum FROM item`;

/** @throws {Error} when the table `item` is not what `workload` leaves. */
export async function checkMariadb(server: MariadbServer, workload: Workload): Promise<void> {
  const [row] = await server.query(CONTENTS, DATABASE);
  checkContents({ rows: Number(row?.['n']), checksum: Number(row?.['checksum']) }, workload);
}
