const COLUMNS = ['id', 'sku', 'name', 'price', 'stock', 'changed_at'] as const;

const UPDATES = COLUMNS.slice(1).map((column) => `${column} = VALUES(${column})`);

/** Writes a row, or several in the way of mysql2: `VALUES ?` with an array of rows. */
export function upsert(values: string): string {
  return `INSERT INTO item (${COLUMNS.join(', ')}) VALUES ${values} ON DUPLICATE KEY UPDATE ${UPDATES.join(', ')}`;
}

/** The values of one row in a prepared statement. */
export const ONE_ROW = `(${COLUMNS.map(() => '?').join(', ')})`;
