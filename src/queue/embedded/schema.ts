import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { SyncError } from '../../core/errors.ts';
import type { QueueSettings } from '../queue.ts';
import { recordOfSettings, settingsMismatch } from '../settings.ts';

const FORMAT = 1;
const BUSY_TIMEOUT_MS = 5000;
/** Size to which the write-ahead log is cut back after a checkpoint. */
const LOG_LIMIT_BYTES = 64 * 1024 * 1024;

/**
 * Row ids of a list: partition × 2^44 + ordinal. So a list is one range of one B-tree, which needs no index, and every
 * id of 256 partitions is below 2^53.
 */
export const PARTITION_SPAN = 2 ** 44;

export function queueFile(folder: string): string {
  return join(folder, 'queue.sqlite');
}

/** Opens the file for the one thread that writes it; creates it when it is new. @throws {SyncError} `queue_mismatch` */
export function openForWriting(folder: string, settings: QueueSettings): DatabaseSync {
  const database = new DatabaseSync(queueFile(folder), { timeout: BUSY_TIMEOUT_MS, enableForeignKeyConstraints: true });
  try {
    database.enableDefensive(true);
    // The first two come first: they can only be chosen while the file is empty. Pages of 8 KiB store frames of 2 kB a third
    // faster than the default of 4 KiB, and in a third less space; with 16 KiB small commits get slower.
    database.exec(`
      PRAGMA page_size = 8192;
      PRAGMA auto_vacuum = INCREMENTAL;
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = FULL;
      PRAGMA foreign_keys = ON;
      PRAGMA trusted_schema = OFF;
      PRAGMA journal_size_limit = ${LOG_LIMIT_BYTES};
    `);
    createSchema(database, settings);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

export function openForReading(folder: string): DatabaseSync {
  const database = new DatabaseSync(queueFile(folder), { readOnly: true, timeout: BUSY_TIMEOUT_MS });
  database.exec('PRAGMA trusted_schema = OFF');
  return database;
}

/** The table that holds the lists of `sink`; undefined when this queue has none. */
export function listTable(database: DatabaseSync, sink: string): string | undefined {
  const row = database.prepare('SELECT number FROM sinks WHERE name = ?').get(sink);
  return row && `list_${String(row['number'])}`;
}

function createSchema(database: DatabaseSync, settings: QueueSettings): void {
  const format = Number(database.prepare('PRAGMA user_version').get()?.['user_version']);
  if (format > FORMAT)
    throw new SyncError(
      'queue_mismatch',
      `the queue file has format ${format}, this version knows ${FORMAT}; run the version that created it`,
    );
  database.exec('BEGIN IMMEDIATE');
  try {
    if (format === 0) createTables(database, settings);
    const recorded = String(database.prepare('SELECT recorded FROM settings').get()?.['recorded']);
    if (recorded !== recordOfSettings(settings)) throw settingsMismatch(recorded, settings);
    database.exec('COMMIT');
  } catch (error) {
    if (database.isTransaction) database.exec('ROLLBACK');
    throw error;
  }
}

function createTables(database: DatabaseSync, settings: QueueSettings): void {
  database.exec(`
    CREATE TABLE settings (recorded TEXT NOT NULL, probed INTEGER NOT NULL DEFAULT 0) STRICT;
    CREATE TABLE sinks (name TEXT PRIMARY KEY, number INTEGER NOT NULL) STRICT;
    CREATE TABLE partitions (partition INTEGER PRIMARY KEY, ordinal INTEGER NOT NULL, stored_at_us INTEGER NOT NULL) STRICT;
    CREATE TABLE lists (sink TEXT NOT NULL, partition INTEGER NOT NULL, count INTEGER NOT NULL, bytes INTEGER NOT NULL,
      PRIMARY KEY (sink, partition)) STRICT, WITHOUT ROWID;
    CREATE TABLE streams (partition INTEGER NOT NULL, stream TEXT NOT NULL, seq INTEGER NOT NULL, crc INTEGER NOT NULL,
      ordinal INTEGER NOT NULL, producer TEXT NOT NULL, PRIMARY KEY (partition, stream)) STRICT, WITHOUT ROWID;
    PRAGMA user_version = ${FORMAT};
  `);
  database.prepare('INSERT INTO settings (recorded) VALUES (?)').run(recordOfSettings(settings));
  for (let partition = 0; partition < settings.partitions; partition++) {
    database.prepare('INSERT INTO partitions VALUES (?, 0, 0)').run(partition);
  }
  settings.sinks.forEach((sink, number) => {
    database.prepare('INSERT INTO sinks VALUES (?, ?)').run(sink.name, number);
    database.exec(`CREATE TABLE list_${number} (id INTEGER PRIMARY KEY, stored_at_us INTEGER NOT NULL, element BLOB NOT NULL) STRICT`);
    for (let partition = 0; partition < settings.partitions; partition++) {
      database.prepare('INSERT INTO lists VALUES (?, ?, 0, 0)').run(sink.name, partition);
    }
  });
}
