import { SyncError } from '../../core/errors.ts';
import type { Connection } from './connection.ts';

/** What a connection has learnt about its server. */
export interface ServerFacts {
  readonly mariadb: boolean;
  /** Major, minor, patch. */
  readonly version: readonly [number, number, number];
  readonly versionText: string;
  /** Bytes of the largest statement that the server takes. */
  readonly maxPacketBytes: number;
  readonly connectionId: number;
}

/** How long a lock of a row or of a table's definition is waited for, seconds. */
const LOCK_WAIT_S = 5;
/** How long the server keeps a session that says nothing, seconds. It bites frozen holders only: idle ones are pinged. */
const SILENCE_S = 15;
/** How long MariaDB keeps an open transaction that says nothing, seconds. */
const IDLE_TRANSACTION_S = 10;

/**
 * One statement that gives a session every setting the sink relies on, whatever the server's defaults are: strict mode,
 * defined escaping, UTC, utf8mb4, READ COMMITTED, bounded waits, checks on.
 */
export function sessionSetup(serverVersion: string, statementTimeoutMs: number): string {
  const mariadb = isMariadb(serverVersion);
  const version = parseVersion(serverVersion);
  const isolation = mariadb && !atLeast(version, [11, 1, 0]) ? 'tx_isolation' : 'transaction_isolation';
  return `SET SESSION ${[
    "sql_mode='TRADITIONAL,NO_AUTO_VALUE_ON_ZERO'",
    "time_zone='+00:00'",
    'autocommit=1',
    'character_set_client=utf8mb4',
    'character_set_results=utf8mb4',
    'collation_connection=utf8mb4_bin',
    'foreign_key_checks=1',
    'unique_checks=1',
    'sql_safe_updates=0',
    'sql_select_limit=DEFAULT',
    `wait_timeout=${SILENCE_S}`,
    `innodb_lock_wait_timeout=${LOCK_WAIT_S}`,
    `lock_wait_timeout=${LOCK_WAIT_S}`,
    `${isolation}='READ-COMMITTED'`,
    // The server gives a statement up before we do: then it does not go on behind our back. And long lists of keys stay
    // lists: as subqueries they would not find rows through the index.
    ...(mariadb
      ? [
          `idle_transaction_timeout=${IDLE_TRANSACTION_S}`,
          'in_predicate_conversion_threshold=0',
          `max_statement_time=${(statementTimeoutMs * 0.9) / 1000}`,
        ]
      : []),
  ].join(',')}`;
}

export async function readFacts(connection: Connection): Promise<ServerFacts> {
  const [row] = await connection.rows('SELECT VERSION(),@@max_allowed_packet,@@sql_mode,@@character_set_client,CONNECTION_ID()');
  const [versionText, maxPacketBytes, sqlMode, charset, connectionId] = row ?? [];
  const modes = String(sqlMode).split(',');
  // A proxy that shares sessions, or a server that ignores the client's wishes, would make escaping undefined.
  if (
    !modes.includes('STRICT_ALL_TABLES') ||
    modes.includes('NO_BACKSLASH_ESCAPES') ||
    modes.includes('ANSI_QUOTES') ||
    charset !== 'utf8mb4'
  ) {
    throw new SyncError(
      'sink_unsuitable',
      'the database does not keep the session settings; connect to it directly or through a proxy that pins sessions',
    );
  }
  return {
    mariadb: isMariadb(String(versionText)),
    version: parseVersion(String(versionText)),
    versionText: String(versionText),
    maxPacketBytes: Number(maxPacketBytes),
    connectionId: Number(connectionId),
  };
}

export function atLeast(version: ServerFacts['version'], least: ServerFacts['version']): boolean {
  for (let i = 0; i < 3; i++) {
    const difference = (version[i] as number) - (least[i] as number);
    if (difference !== 0) return difference > 0;
  }
  return true;
}

function isMariadb(version: string): boolean {
  return /mariadb/i.test(version);
}

/** MariaDB used to put `5.5.5-` before its version, for old replicas. */
function parseVersion(text: string): ServerFacts['version'] {
  const numbers = /(\d+)\.(\d+)\.(\d+)/.exec(text.replace(/^5\.5\.5-(?=\d+\.)/, ''));
  return [Number(numbers?.[1] ?? 0), Number(numbers?.[2] ?? 0), Number(numbers?.[3] ?? 0)];
}
