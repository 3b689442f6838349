import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { createConnection, type Connection } from 'mysql2/promise';
import { freePort } from './free-port.ts';

/** A private MariaDB in a temporary folder, reached as root without password on 127.0.0.1. */
export interface MariadbServer {
  readonly port: number;
  readonly pid: number;
  readonly running: boolean;
  readonly datadir: string;
  /** `mysql://root@127.0.0.1:port/database`. */
  url(database: string): string;
  /** Runs statements one by one on a connection of its own and returns the rows of the last one. */
  query(sql: string | readonly string[], database?: string): Promise<Record<string, unknown>[]>;
  /** A connection that reads every type exactly: numbers beyond 2^53, decimals and dates as strings. */
  connect(database?: string): Promise<Connection>;
  /** Ends the process with `signal` and waits until it is gone. */
  kill(signal: NodeJS.Signals): Promise<void>;
  /** Starts the process again on the same port and folder, after {@link kill}. */
  restart(): Promise<void>;
  close(): Promise<void>;
}

export interface MariadbOptions {
  /** Further arguments of mariadbd, such as `--max-allowed-packet=1M`. */
  readonly args?: readonly string[];
  /** A folder that is kept, and of which it uses a part. */
  readonly dir?: string;
}

const START_TIMEOUT_MS = 30_000;

/** Whether MariaDB is installed; under CI its absence is an error. */
export function mariadbAvailable(): boolean {
  const available = spawnSync('mariadbd', ['--version']).status === 0 && spawnSync('mariadb-install-db', ['--help']).error === undefined;
  if (!available && process.env['CI'] === 'true') throw new Error('mariadbd is not installed, and CI must not skip its tests');
  return available;
}

export async function startMariadb(options: MariadbOptions = {}): Promise<MariadbServer> {
  const home = await mkdtemp(join(options.dir ?? tmpdir(), 'syncline-mariadb-'));
  const datadir = join(home, 'data');
  await cp(await templateDatadir(), datadir, { recursive: true });
  const port = await freePort();
  // Not in `dir`: where that is a disk without room, it is the tables that have none.
  const temporary = await mkdtemp(join(tmpdir(), 'syncline-mariadb-tmp-'));
  const args = serverArgs(home, temporary, port, options.args ?? []);
  let child = await launch(args, port, join(home, 'error.log'));
  const endProcess = () => void child.kill('SIGKILL');
  process.once('exit', endProcess);

  const connect = (database?: string) =>
    createConnection({
      host: '127.0.0.1',
      port,
      user: 'root',
      charset: 'utf8mb4',
      timezone: 'Z',
      supportBigNumbers: true,
      bigNumberStrings: true,
      dateStrings: true,
      jsonStrings: true,
      ...(database === undefined ? {} : { database }),
    });

  return {
    port,
    get pid() {
      return child.pid as number;
    },
    get running() {
      return child.exitCode === null && child.signalCode === null;
    },
    datadir,
    url: (database) => `mysql://root@127.0.0.1:${port}/${database}`,
    connect,
    async query(sql, database) {
      const connection = await connect(database);
      try {
        let rows: unknown = [];
        for (const statement of typeof sql === 'string' ? [sql] : sql) [rows] = await connection.query(statement);
        return Array.isArray(rows) ? (rows as Record<string, unknown>[]) : [];
      } finally {
        connection.destroy();
      }
    },
    kill: (signal) => endOf(child, signal),
    async restart() {
      child = await launch(args, port, join(home, 'error.log'));
    },
    async close() {
      process.removeListener('exit', endProcess);
      await endOf(child, 'SIGKILL');
      for (const folder of [home, temporary]) await rm(folder, { recursive: true, force: true });
    },
  };
}

function serverArgs(home: string, temporary: string, port: number, more: readonly string[]): string[] {
  const datadir = join(home, 'data');
  return [
    '--no-defaults',
    `--datadir=${datadir}`,
    // Of its own: a server that starts deletes whatever looks like an old temporary table in the folder for such.
    `--tmpdir=${temporary}`,
    `--socket=${join(home, 'mariadb.sock')}`,
    `--pid-file=${join(datadir, 'mariadb.pid')}`,
    `--log-error=${join(home, 'error.log')}`,
    `--port=${port}`,
    '--bind-address=127.0.0.1',
    ...(process.getuid?.() === 0 ? ['--user=root'] : []),
    '--skip-name-resolve',
    '--innodb-buffer-pool-size=64M',
    '--innodb-log-file-size=64M',
    '--innodb-flush-log-at-trx-commit=1',
    // Tests kill processes, not machines: what was written to a file is there even when nobody waited for the disk.
    '--innodb-flush-method=nosync',
    '--sync-frm=OFF',
    '--character-set-server=utf8mb4',
    '--performance-schema=OFF',
    ...more,
  ];
}

/** A freshly installed data folder, made once per machine and version, and copied for each server. */
async function templateDatadir(): Promise<string> {
  const version = spawnSync('mariadbd', ['--version'], { encoding: 'utf8' }).stdout.match(/\d+\.\d+\.\d+/)?.[0] ?? 'unknown';
  const template = join(tmpdir(), `syncline-mariadb-template-${version}-${process.getuid?.() ?? 0}`);
  if (existsSync(template)) return template;
  const draft = await mkdtemp(`${template}-`);
  const user = process.getuid?.() === 0 ? ['--user=root'] : [];
  const install = [
    '--no-defaults',
    `--datadir=${draft}`,
    `--tmpdir=${draft}`,
    '--auth-root-authentication-method=normal',
    '--skip-test-db',
    '--innodb-log-file-size=8M',
    ...user,
  ];
  const result = spawnSync('mariadb-install-db', install, { encoding: 'utf8' });
  if (result.status !== 0) throw new Error(`mariadb-install-db failed: ${result.stderr}${result.stdout}`);
  // Two test files may get here at once: the first rename wins, and the loser uses the winner's folder.
  await rename(draft, template).catch(() => rm(draft, { recursive: true, force: true }));
  return template;
}

async function launch(args: readonly string[], port: number, errorLog: string): Promise<ChildProcess> {
  const child = spawn('mariadbd', args, { stdio: 'ignore' });
  for (let waitedMs = 0; waitedMs < START_TIMEOUT_MS; waitedMs += 50) {
    if (child.exitCode !== null || child.signalCode !== null) break;
    try {
      const connection = await createConnection({ host: '127.0.0.1', port, user: 'root', connectTimeout: 1000 });
      await connection.end();
      return child;
    } catch {
      await delay(50);
    }
  }
  child.kill('SIGKILL');
  throw new Error(`mariadbd did not start: ${await readFile(errorLog, 'utf8').catch(() => 'no log')}`);
}

async function endOf(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill(signal);
  await gone;
}
