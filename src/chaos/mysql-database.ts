import { withoutPassword } from '../config/config.ts';
import { systemClock } from '../core/clock.ts';
import { parseAddress, type MysqlTls } from '../sinks/mysql/address.ts';
import { ConnectionSet } from '../sinks/mysql/connection-set.ts';
import type { ChaosDatabase } from './database.ts';

/** The audit reads large tables, in pieces. */
const STATEMENT_TIMEOUT_MS = 60_000;

/** A MySQL or MariaDB database. @throws {SyncError} `sink_unsuitable` for a URL that is none. */
export function openMysqlDatabase(url: string, tls: MysqlTls | undefined): ChaosDatabase {
  const connections = new ConnectionSet({
    address: parseAddress(url),
    tls,
    clock: systemClock,
    statementTimeoutMs: STATEMENT_TIMEOUT_MS,
    dial: undefined,
  });
  return {
    dialect: 'mysql',
    where: withoutPassword(url),
    rows: (sql) => connections.use((connection) => connection.rows(sql)),
    run: (sql) => connections.use(async (connection) => void (await connection.run(sql))),
    close: async () => connections.close(),
  };
}
