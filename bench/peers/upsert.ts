import { ITEM_COLUMNS } from '../workload.ts';

const UPDATES = ITEM_COLUMNS.slice(1).map((column) => `${column} = VALUES(${column})`);

/** Writes a row, or several in the way of mysql2: `VALUES ?` with an array of rows. */
export function upsert(values: string): string {
  return `INSERT INTO item (${ITEM_COLUMNS.join(', ')}) VALUES ${values} ON DUPLICATE KEY UPDATE ${UPDATES.join(', ')}`;
}

/** The values of one row in a prepared statement. */
export const ONE_ROW = `(${ITEM_COLUMNS.map(() => '?').join(', ')})`;
