/** A process that upserts rows in a loop; see {@link file://./sqlite-loop.ts}. */
import { DatabaseSync } from 'node:sqlite';
import { changesOf, ITEM_COLUMNS, type Workload } from '../workload.ts';

export interface SqliteLoopPlan {
  readonly path: string;
  readonly workload: Workload;
  readonly warmUp: Workload;
}

const ROWS_PER_TRANSACTION = 1000;

process.once('message', (plan: SqliteLoopPlan) => {
  const db = new DatabaseSync(plan.path);
  db.exec('PRAGMA synchronous = FULL');
  write(db, 'warm_up', plan.warmUp);
  const seconds = write(db, 'item', plan.workload);
  db.close();
  process.send?.(seconds, () => process.exit(0));
});

/** Returns how many seconds it took; making the rows does not count. */
function write(db: DatabaseSync, table: string, workload: Workload): number {
  const assignments = ITEM_COLUMNS.slice(1).map((column) => `${column} = excluded.${column}`);
  const upsert = db.prepare(`INSERT INTO ${table} VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET ${assignments.join(', ')}`);
  const items = [...changesOf(workload)];
  const startedMs = performance.now();
  for (let start = 0; start < items.length; start += ROWS_PER_TRANSACTION) {
    db.exec('BEGIN IMMEDIATE');
    for (const item of items.slice(start, start + ROWS_PER_TRANSACTION)) upsert.run(...item);
    db.exec('COMMIT');
  }
  return (performance.now() - startedMs) / 1000;
}
