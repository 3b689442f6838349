import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { checkContents, itemChecksum } from '../check/expected.ts';
import { removeAtExit } from './leftovers.ts';
import { ITEM_COLUMNS, type Workload } from '../workload.ts';

/** `item` and `warm_up` in the SQL of SQLite: what a program would declare for them. */
const COLUMNS = `(
  id INTEGER PRIMARY KEY,
  sku TEXT NOT NULL,
  name TEXT NOT NULL,
  price TEXT NOT NULL,
  stock INTEGER NOT NULL,
  changed_at TEXT NOT NULL
)`;

/** A database file in a folder of its own, with both tables empty. */
export interface SqliteDatabase extends Disposable {
  readonly path: string;
}

export function createSqliteDatabase(): SqliteDatabase {
  const folder = mkdtempSync(join(tmpdir(), 'syncline-bench-'));
  removeAtExit(folder);
  const path = join(folder, 'bench.db');
  const db = new DatabaseSync(path);
  db.exec(`PRAGMA journal_mode = WAL; CREATE TABLE item ${COLUMNS}; CREATE TABLE warm_up ${COLUMNS}`);
  db.close();
  return { path, [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) };
}

/** @throws {Error} when the table `item` is not what `workload` leaves. */
export function checkSqlite(path: string, workload: Workload): void {
  const db = new DatabaseSync(path, { readOnly: true });
  let [rows, checksum] = [0, 0];
  const select = db.prepare(`SELECT ${ITEM_COLUMNS.join(', ')} FROM item`);
  select.setReturnArrays(true);
  for (const row of select.iterate() as unknown as Iterable<readonly unknown[]>) {
    rows++;
    checksum += itemChecksum(row);
  }
  db.close();
  checkContents({ rows, checksum }, workload);
}
