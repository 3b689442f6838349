import { presentItem, presentRows, type Item, type Workload } from '../workload.ts';

/**
 * Whether a row must hold what was sent last, or may hold any change that was sent: several workers that take changes of
 * one row at the same time commit them in any order.
 */
export type Order = 'kept' | 'any';

/**
 * Compares the rows of a table with what they must be after `changes`, the first ones of `workload`.
 * @throws {Error} for the first difference.
 */
export function checkRows(rows: readonly (readonly unknown[])[], workload: Workload, changes: readonly Item[], order: Order): void {
  const allowed = allowedRows(workload, changes, order);
  if (rows.length !== allowed.size) throw new Error(`the table has ${rows.length} rows instead of ${allowed.size}`);
  for (const row of rows) {
    const found = row.join('\t');
    const expected = allowed.get(Number(row[0])) ?? [];
    if (!expected.includes(found)) throw new Error(`the table has the row ${found} instead of ${expected.join(' or ') || 'none'}`);
  }
}

/** What each row may be, by id. */
function allowedRows(workload: Workload, changes: readonly Item[], order: Order): Map<number, string[]> {
  const allowed = new Map<number, string[]>();
  for (let id = 1; id <= presentRows(workload); id++) allowed.set(id, [presentItem(id).join('\t')]);
  const changed = new Set<number>();
  for (const item of changes) {
    const [id] = item;
    const row = item.join('\t');
    if (order === 'any' && changed.has(id)) allowed.get(id)?.push(row);
    else allowed.set(id, [row]);
    changed.add(id);
  }
  return allowed;
}
