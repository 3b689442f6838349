import { randomUUID } from 'node:crypto';
import { SyncError } from '../../core/errors.ts';
import type { SinkSettings } from '../sink.ts';
import type { Connection } from './connection.ts';
import { textLiteral } from './sql.ts';

/** Version of the tables below; a sink with a newer one belongs to a newer Syncline. */
const SCHEMA_VERSION = 1;

/** Syncline's own tables, by name. `docs/sinks-mysql.md` shows the same text for databases where Syncline may not create. */
export const BOOKKEEPING: ReadonlyMap<string, string> = new Map([
  [
    'syncline_meta',
    `CREATE TABLE IF NOT EXISTS syncline_meta (
  id TINYINT UNSIGNED NOT NULL PRIMARY KEY,
  sink CHAR(36) NOT NULL,
  partitions SMALLINT UNSIGNED NOT NULL,
  mapping VARCHAR(255) NOT NULL,
  schema_version SMALLINT UNSIGNED NOT NULL,
  created_at DATETIME(3) NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin`,
  ],
  [
    'syncline_stream',
    `CREATE TABLE IF NOT EXISTS syncline_stream (
  stream BINARY(16) NOT NULL PRIMARY KEY,
  producer VARCHAR(255) NOT NULL,
  created_at DATETIME(3) NOT NULL,
  expired_at DATETIME(3) NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin`,
  ],
  // A column that a later version adds must have a default or take NULL: rows are moved by INSERT … ON DUPLICATE KEY UPDATE.
  [
    'syncline_watermark',
    `CREATE TABLE IF NOT EXISTS syncline_watermark (
  stream BINARY(16) NOT NULL,
  part SMALLINT UNSIGNED NOT NULL,
  seq BIGINT UNSIGNED NOT NULL,
  crc INT UNSIGNED NOT NULL,
  updated_at DATETIME(3) NOT NULL,
  PRIMARY KEY (stream, part)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin`,
  ],
  [
    'syncline_dead_letter',
    `CREATE TABLE IF NOT EXISTS syncline_dead_letter (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  stream BINARY(16) NOT NULL,
  part SMALLINT UNSIGNED NOT NULL,
  seq BIGINT UNSIGNED NOT NULL,
  change_index INT NOT NULL,
  producer VARCHAR(255) NOT NULL,
  tbl VARCHAR(255) NOT NULL,
  op VARCHAR(8) NOT NULL,
  row_key TEXT NOT NULL,
  code VARCHAR(64) NOT NULL,
  message TEXT NOT NULL,
  payload LONGBLOB NOT NULL,
  stored_at_us BIGINT UNSIGNED NOT NULL,
  created_at DATETIME(3) NOT NULL,
  state ENUM('open','retried','dropped') NOT NULL,
  KEY place (stream, part, seq),
  KEY state (state, id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin`,
  ],
  [
    'syncline_barrier',
    `CREATE TABLE IF NOT EXISTS syncline_barrier (
  id TINYINT UNSIGNED NOT NULL PRIMARY KEY,
  passed BIGINT UNSIGNED NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin`,
  ],
]);

/**
 * Creates the tables that are missing. The privilege to create is needed only then.
 * @throws {SyncError} `sink_denied` that says what to grant, `sink_unsuitable` when one of them is not transactional.
 */
export async function createBookkeeping(connection: Connection, database: string): Promise<void> {
  const engines = new Map(
    (
      await connection.rows(
        `SELECT TABLE_NAME,ENGINE FROM information_schema.TABLES WHERE TABLE_SCHEMA=${textLiteral(database)} AND TABLE_NAME IN (${[...BOOKKEEPING.keys()].map(textLiteral).join(',')})`,
      )
    ).map(([name, engine]) => [String(name), String(engine)]),
  );
  for (const [name, definition] of BOOKKEEPING) {
    const engine = engines.get(name);
    if (engine === undefined) await explainDenial(database, 'CREATE', () => connection.run(definition));
    else if (engine.toLowerCase() !== 'innodb') {
      throw new SyncError(
        'sink_unsuitable',
        `table ${name} uses the engine ${engine}; it must be InnoDB, or watermark and data cannot commit together`,
      );
    }
  }
}

/**
 * Records the settings in a new sink and compares them with those of an existing one.
 * @throws {SyncError} `sink_mismatch`
 */
export async function recordSettings(connection: Connection, database: string, settings: SinkSettings, created: string): Promise<void> {
  const read = () => connection.rows('SELECT partitions,mapping,schema_version FROM syncline_meta WHERE id=1');
  let [row] = await explainDenial(database, 'SELECT', read);
  if (row === undefined) {
    await explainDenial(database, 'INSERT', () =>
      connection.run(
        `INSERT IGNORE INTO syncline_meta (id,sink,partitions,mapping,schema_version,created_at) VALUES (1,${textLiteral(randomUUID())},${settings.partitions},${textLiteral(settings.mapping)},${SCHEMA_VERSION},${created})`,
      ),
    );
    // Another node may have been faster: what counts is what is there.
    [row] = await read();
  }
  const [partitions, mapping, version] = row ?? [];
  if (Number(version) !== SCHEMA_VERSION) {
    throw new SyncError(
      'sink_mismatch',
      `the sink's tables have version ${String(version)}, and this Syncline knows version ${SCHEMA_VERSION}; run the Syncline that made them`,
    );
  }
  if (Number(partitions) !== settings.partitions) {
    throw new SyncError(
      'sink_mismatch',
      `the sink was set up with ${String(partitions)} partitions, and the configuration says ${settings.partitions}; use the recorded number or another database`,
    );
  }
  if (mapping !== settings.mapping) {
    throw new SyncError(
      'sink_mismatch',
      'the sink was set up with another partitionBy of its tables; use the recorded one or another database',
    );
  }
}

/** Touches no row, and fails now rather than at the first change if a privilege is missing. */
export async function provePrivileges(connection: Connection, database: string): Promise<void> {
  for (const table of ['syncline_stream', 'syncline_watermark', 'syncline_dead_letter']) {
    await explainDenial(database, 'INSERT', () => connection.run(`INSERT INTO ${table} SELECT * FROM ${table} WHERE FALSE`));
    await explainDenial(database, 'UPDATE', () => connection.run(`UPDATE ${table} SET stream=stream WHERE FALSE`));
    await explainDenial(database, 'DELETE', () => connection.run(`DELETE FROM ${table} WHERE FALSE`));
  }
  await explainDenial(database, 'INSERT', () => connection.run('INSERT INTO syncline_barrier SELECT * FROM syncline_barrier WHERE FALSE'));
  await explainDenial(database, 'UPDATE', () => connection.run('UPDATE syncline_barrier SET passed=passed WHERE FALSE'));
}

async function explainDenial<T>(database: string, privilege: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof SyncError) || error.code !== 'sink_denied') throw error;
    const hint =
      privilege === 'CREATE'
        ? `create Syncline's tables as docs/sinks-mysql.md shows, or run: GRANT CREATE ON \`${database}\`.* TO …`
        : `run: GRANT SELECT, INSERT, UPDATE, DELETE ON \`${database}\`.* TO …`;
    throw new SyncError('sink_denied', `the database user lacks ${privilege} on database ${database}; ${hint} (${error.message})`);
  }
}
