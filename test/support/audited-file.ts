import { DatabaseSync } from 'node:sqlite';
import type { AuditRow, ItemRow, LetterRow } from './audit.ts';

/** What an audited database holds. */
export interface AuditedRows {
  /** In the order in which they took effect. */
  readonly audit: readonly AuditRow[];
  readonly items: readonly ItemRow[];
  readonly plain: readonly (ItemRow & { readonly padBytes: number })[];
  /** Of table `strict`. */
  readonly letters: readonly LetterRow[];
  /** Dead letters of the other tables, in which nothing is wrong with any row. */
  readonly strayLetters: number;
}

/** Makes a SQLite file with a table `item` whose inserts and updates triggers write to `audit`, in the order of commits. */
export function createAuditedFile(path: string): void {
  const db = new DatabaseSync(path);
  db.exec(`
    CREATE TABLE item (id INTEGER PRIMARY KEY, gen INTEGER NOT NULL, n INTEGER NOT NULL, pad TEXT);
    CREATE TABLE plain (id INTEGER PRIMARY KEY, gen INTEGER NOT NULL, n INTEGER NOT NULL, pad TEXT);
    CREATE TABLE strict (gen INTEGER NOT NULL, n INTEGER NOT NULL, needed TEXT NOT NULL CHECK (needed <> 'refused'), PRIMARY KEY (gen, n));
    CREATE TABLE audit (at INTEGER PRIMARY KEY AUTOINCREMENT, gen INTEGER NOT NULL, n INTEGER NOT NULL, id INTEGER NOT NULL);
    CREATE TRIGGER item_inserted AFTER INSERT ON item BEGIN INSERT INTO audit (gen, n, id) VALUES (NEW.gen, NEW.n, NEW.id); END;
    CREATE TRIGGER item_updated AFTER UPDATE ON item BEGIN INSERT INTO audit (gen, n, id) VALUES (NEW.gen, NEW.n, NEW.id); END;
  `);
  db.close();
}

export function readAuditedFile(path: string): AuditedRows {
  const db = new DatabaseSync(path, { readOnly: true });
  try {
    const rows = <T>(sql: string) => db.prepare(sql).all() as unknown as T[];
    return {
      audit: rows('SELECT gen, n, id FROM audit ORDER BY at'),
      items: rows('SELECT gen, n, id FROM item'),
      plain: rows('SELECT gen, n, id, length(pad) AS padBytes FROM plain'),
      letters: rows<{ key: string }>("SELECT row_key AS key FROM syncline_dead_letter WHERE table_name = 'strict'").map(({ key }) =>
        letterOf(key),
      ),
      strayLetters: Number(db.prepare("SELECT count(*) AS n FROM syncline_dead_letter WHERE table_name IN ('item', 'plain')").get()?.['n']),
    };
  } finally {
    db.close();
  }
}

/** How many changes of `item` took effect. */
export function countEffects(path: string): number {
  const db = new DatabaseSync(path, { readOnly: true });
  try {
    return Number(db.prepare('SELECT coalesce(max(at), 0) AS n FROM audit').get()?.['n']);
  } finally {
    db.close();
  }
}

/** The row of table `strict` that a dead letter names. */
export function letterOf(rowKey: string): LetterRow {
  const [gen, n] = JSON.parse(rowKey) as [number, number];
  return { gen, n };
}
