import type { SinkTls } from '../sinks/registry.ts';
import type { Dialect } from './tables.ts';

/** The database of a sink, read and written past Syncline, on a connection of its own. */
export interface ChaosDatabase {
  readonly dialect: Dialect;
  /** Where it is, for people, without secrets. */
  readonly where: string;
  /** Runs a SELECT. 64-bit columns may come as text. @throws {SyncError} */
  rows(sql: string): Promise<SqlValues[]>;
  /** Runs a statement that gives no rows, in a transaction of its own. @throws {SyncError} */
  run(sql: string): Promise<void>;
  close(): Promise<void>;
}

export type SqlValues = readonly (string | number | bigint | Uint8Array | null)[];

export interface DatabaseAddress {
  /** `mysql://…`, `mariadb://…`, or `sqlite:` with an absolute path. */
  readonly url: string;
  readonly tls?: SinkTls;
}

/** Opens the database of a sink. Connects when it is first used. */
export async function openDatabase({ url, tls }: DatabaseAddress): Promise<ChaosDatabase> {
  if (url.startsWith('sqlite:')) return (await import('./sqlite-database.ts')).openSqliteDatabase(url.slice('sqlite:'.length));
  return (await import('./mysql-database.ts')).openMysqlDatabase(url, tls);
}
