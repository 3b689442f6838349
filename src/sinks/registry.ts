import { join } from 'node:path';
import type { Clock } from '../core/clock.ts';
import { SyncError } from '../core/errors.ts';
import type { Sink, SinkSettings } from './sink.ts';

export interface SinkOptions {
  readonly name: string;
  /** Its scheme decides which sink it is. */
  readonly url: string;
  /** Whether unknown tables and columns are refused, or created. */
  readonly schema: 'strict' | 'evolve';
  readonly tls?: SinkTls;
  readonly clock: Clock;
  /** Of a node that shares the database with others: what {@link Sink.fence} knows its connections by. */
  readonly incarnation?: string | undefined;
  /** What {@link Sink.prepare} is called with: a server's database may lose the sink's own tables, and has them made again. */
  readonly settings?: SinkSettings;
  /** The node's data folder, for a database whose URL names no path. */
  readonly folder?: string;
}

/** TLS of the connection to a database; files are PEM. */
export interface SinkTls {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly rejectUnauthorized?: boolean;
}

/** Every kind of sink, by the scheme of its URL. Loaded when opened: an embedded node never loads a database driver. */
const SINKS: Readonly<Record<string, (options: SinkOptions) => Promise<Sink>>> = {
  sqlite: async (options) => (await import('./sqlite/sqlite.ts')).openSqliteSink({ ...options, file: sqliteFile(options) }),
  mysql: async (options) => (await import('./mysql/mysql.ts')).openMysqlSink(options),
  mariadb: async (options) => (await import('./mysql/mysql.ts')).openMysqlSink(options),
  memory: async (options) => (await import('./memory.ts')).createMemorySink({ ...options, tables: [] }),
};

/** Opens the sink that `options.url` names. Whether its database can be used is found out by {@link Sink.prepare}. */
export async function openSink(options: SinkOptions): Promise<Sink> {
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(options.url)?.[1]?.toLowerCase() ?? '';
  const open = Object.hasOwn(SINKS, scheme) ? SINKS[scheme] : undefined;
  if (open === undefined) {
    const known = Object.keys(SINKS)
      .filter((name) => name !== 'memory')
      .map((name) => `${name}:`);
    // The URL itself may hold a password.
    throw new SyncError(
      'sink_unsuitable',
      `sink ${options.name}: ${scheme === '' ? 'a URL without scheme' : `scheme ${scheme}:`} is not known; known are ${known.join(', ')}`,
    );
  }
  return open(options);
}

/** The default file in the data folder. */
const DEFAULT_FILE = 'data.db';

/** `sqlite:` + path, absolute or relative to the working directory; `sqlite://` before it means the same. */
function sqliteFile({ name, url, folder }: SinkOptions): string {
  const path = url.slice('sqlite:'.length).replace(/^\/\//, '');
  if (path !== '') return path;
  if (folder === undefined) throw new SyncError('sink_unsuitable', `sink ${name}: sqlite: without a path needs a data folder`);
  return join(folder, DEFAULT_FILE);
}
