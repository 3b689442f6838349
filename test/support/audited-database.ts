import { letterOf, type AuditedRows } from './audited-file.ts';
import type { MariadbServer } from './mariadb-server.ts';

/** Makes a database `shop` in which triggers write the inserts and updates of `item` to `audit`; an old one is dropped. */
export async function createAuditedDatabase(mariadb: MariadbServer): Promise<void> {
  await mariadb.query(TABLES);
}

export async function readAuditedDatabase(mariadb: MariadbServer): Promise<AuditedRows> {
  const numbers = async <T>(sql: string) => (await mariadb.query(sql)).map((row) => numeric(row) as T);
  const letters = await mariadb.query('SELECT tbl, row_key FROM shop.syncline_dead_letter');
  return {
    audit: await numbers('SELECT gen, n, id FROM shop.audit ORDER BY at'),
    items: await numbers('SELECT gen, n, id FROM shop.item'),
    plain: await numbers('SELECT gen, n, id, LENGTH(pad) AS padBytes FROM shop.plain'),
    letters: letters.filter(({ tbl }) => tbl === 'strict').map((row) => letterOf(String(row['row_key']))),
    strayLetters: letters.filter(({ tbl }) => tbl === 'item' || tbl === 'plain').length,
  };
}

/** Removes everything that was audited. */
export async function clearAuditedDatabase(mariadb: MariadbServer): Promise<void> {
  // The triggers write at inserts and updates only.
  await mariadb.query([
    ...['item', 'plain', 'strict', 'syncline_dead_letter'].map((table) => `DELETE FROM shop.${table}`),
    'TRUNCATE shop.audit',
  ]);
}

/** How many changes of `item` took effect, and a few more: numbers of transactions that were rolled back are not used again. */
export async function countDatabaseEffects(mariadb: MariadbServer): Promise<number> {
  const [row] = await mariadb.query('SELECT COALESCE(MAX(at), 0) AS n FROM shop.audit');
  return Number(row?.['n']);
}

/** The connection gives 64-bit columns as text. */
function numeric(row: Record<string, unknown>): Record<string, number> {
  return Object.fromEntries(Object.entries(row).map(([name, value]) => [name, Number(value)]));
}

const TABLES = [
  'DROP DATABASE IF EXISTS shop',
  'CREATE DATABASE shop',
  'CREATE TABLE shop.item (id BIGINT PRIMARY KEY, gen INT NOT NULL, n BIGINT NOT NULL) ENGINE=InnoDB',
  'CREATE TABLE shop.plain (id BIGINT PRIMARY KEY, gen INT NOT NULL, n BIGINT NOT NULL, pad VARCHAR(200) NOT NULL) ENGINE=InnoDB',
  "CREATE TABLE shop.strict (gen INT, n BIGINT, needed VARCHAR(9) NOT NULL CHECK (needed <> 'refused'), PRIMARY KEY (gen, n)) ENGINE=InnoDB",
  'CREATE TABLE shop.audit (at BIGINT AUTO_INCREMENT PRIMARY KEY, gen INT NOT NULL, n BIGINT NOT NULL, id BIGINT NOT NULL) ENGINE=InnoDB',
  'CREATE TRIGGER shop.item_inserted AFTER INSERT ON shop.item FOR EACH ROW INSERT INTO shop.audit (gen, n, id) VALUES (NEW.gen, NEW.n, NEW.id)',
  'CREATE TRIGGER shop.item_updated AFTER UPDATE ON shop.item FOR EACH ROW INSERT INTO shop.audit (gen, n, id) VALUES (NEW.gen, NEW.n, NEW.id)',
];
