import { SyncError } from '../../core/errors.ts';
import type { Connection } from './connection.ts';
import { atLeast } from './session.ts';
import { textLiteral } from './sql.ts';

/** The smallest max_allowed_packet with which the largest frame of the default configuration can be stored, as hex. */
const COMFORTABLE_PACKET_BYTES = 16 * 1024 * 1024;

/**
 * Checks that the database can keep the promise. Returns warnings about settings that weaken it.
 * @throws {SyncError} `sink_unsuitable`
 */
export async function checkServer(connection: Connection): Promise<string[]> {
  const { mariadb, version, versionText, maxPacketBytes } = connection.facts;
  if (!atLeast(version, mariadb ? [10, 5, 0] : [8, 0, 19])) {
    throw new SyncError('sink_unsuitable', `the database is version ${versionText}; MariaDB 10.5 or MySQL 8.0.19 is the oldest that works`);
  }
  const engines = await connection.rows("SELECT SUPPORT FROM information_schema.ENGINES WHERE ENGINE='InnoDB'");
  if (!['YES', 'DEFAULT'].includes(String(engines[0]?.[0])))
    throw new SyncError('sink_unsuitable', 'the database has no InnoDB, and no other engine keeps data and watermark in one transaction');
  const settings = await readSettings(connection);
  if (isOn(settings.get('log_bin')) && settings.get('binlog_format') === 'STATEMENT') {
    throw new SyncError(
      'sink_unsuitable',
      'binlog_format is STATEMENT, with which InnoDB refuses writes under READ COMMITTED; set it to ROW or MIXED',
    );
  }
  const warnings: string[] = [];
  if (settings.get('innodb_flush_log_at_trx_commit') !== '1') {
    warnings.push(
      `innodb_flush_log_at_trx_commit is ${settings.get('innodb_flush_log_at_trx_commit')}: changes reported as applied can be lost when the database's machine fails; set it to 1`,
    );
  }
  if (isOn(settings.get('log_bin')) && settings.get('sync_binlog') !== '1') {
    warnings.push(
      `sync_binlog is ${settings.get('sync_binlog')}: replicas can lack changes reported as applied after the machine failed; set it to 1`,
    );
  }
  if (settings.get('innodb_doublewrite') === 'OFF' || settings.get('innodb_doublewrite') === '0') {
    warnings.push('innodb_doublewrite is off: a torn page can lose what was reported as applied, unless the file system prevents it');
  }
  if (isOn(settings.get('wsrep_on'))) {
    warnings.push('this is a Galera cluster: send every write to one of its nodes, or a failover can lose changes reported as applied');
  }
  if (isOn(settings.get('read_only')) || isOn(settings.get('innodb_read_only'))) {
    warnings.push('the database is read-only now: changes wait until it is writable');
  }
  if (maxPacketBytes < COMFORTABLE_PACKET_BYTES) {
    warnings.push(`max_allowed_packet is ${maxPacketBytes} bytes: rows larger than half of it become dead letters; set it to 64M`);
  }
  return warnings;
}

/** Warnings about tables that changes cannot go to. */
export async function checkTables(connection: Connection, database: string): Promise<string[]> {
  const rows = await connection.rows(
    `SELECT TABLE_NAME,ENGINE FROM information_schema.TABLES WHERE TABLE_SCHEMA=${textLiteral(database)} AND TABLE_TYPE='BASE TABLE' AND ENGINE<>'InnoDB'`,
  );
  return rows.map(
    ([table, engine]) =>
      `table ${String(table)} uses the engine ${String(engine)}, which has no transactions: its changes become dead letters until it is converted to InnoDB`,
  );
}

async function readSettings(connection: Connection): Promise<Map<string, string>> {
  const names = [
    'log_bin',
    'binlog_format',
    'sync_binlog',
    'innodb_flush_log_at_trx_commit',
    'innodb_doublewrite',
    'innodb_read_only',
    'read_only',
    'wsrep_on',
  ];
  const rows = await connection.rows(`SHOW GLOBAL VARIABLES WHERE Variable_name IN (${names.map(textLiteral).join(',')})`);
  return new Map(rows.map(([name, value]) => [String(name).toLowerCase(), String(value)]));
}

function isOn(value: string | undefined): boolean {
  return value === 'ON' || value === '1';
}
