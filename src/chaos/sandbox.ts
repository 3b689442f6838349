import { hostname } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { messageOf, SyncError } from '../core/errors.ts';
import { ChaosError } from './chaos-error.ts';
import type { ChaosDatabase } from './database.ts';
import { createRunTable, createTables, createTriggers, MARK, PREFIX, RUN_TABLE, tableNames, type TableNames } from './tables.ts';

/** How often a run says that it is alive, and after how long without that it counts as dead. */
const BEAT_MS = 5_000;
const DEAD_AFTER_S = 60;
const DROP_ATTEMPTS = 5;
const DROP_PAUSE_MS = 1_000;

/** The tables of one run in a database, from their creation until they are dropped. */
export class Sandbox {
  readonly names: TableNames;
  /** Whether triggers write down every effect; if not, why. */
  readonly triggers: true | string;
  readonly #database: ChaosDatabase;
  readonly #run: string;
  readonly #beat: NodeJS.Timeout;

  private constructor(database: ChaosDatabase, run: string, triggers: true | string) {
    this.#database = database;
    this.#run = run;
    this.names = tableNames(run);
    this.triggers = triggers;
    this.#beat = setInterval(() => void this.#sayAlive(), BEAT_MS).unref();
  }

  /** The database, for people. */
  get where(): string {
    return this.#database.where;
  }

  /**
   * Removes what dead runs left, and creates the tables of a new one. `told` hears what was removed.
   * @throws {ChaosError} when the database is away, when no server of Syncline uses it, when rights are missing, when
   *   another run is under way there, or when tables of these names exist that nobody of us made.
   */
  static async create(database: ChaosDatabase, run: string, told: (news: string) => void): Promise<Sandbox> {
    try {
      await removeLeftovers(database, told);
      await database.run(createRunTable(database.dialect)).catch(async (error: unknown) => {
        // Two runs that begin at once: the other one has made it.
        if ((await ownTables(database)).every(({ name }) => name !== RUN_TABLE)) throw error;
      });
      await database.run(
        `INSERT INTO ${RUN_TABLE} (run, host, pid, seen_at) VALUES ('${run}', '${plainHost()}', ${process.pid}, ${now(database)})`,
      );
      for (const statement of createTables(database.dialect, tableNames(run))) await database.run(statement);
      return new Sandbox(database, run, await tryTriggers(database, tableNames(run)));
    } catch (error) {
      await drop(database, run).catch(() => {
        // What could not be removed now is found by the next run.
      });
      throw explained(error, database);
    }
  }

  /** Drops the tables and, if no other run uses it, the table of runs. @throws {SyncError} */
  async drop(): Promise<void> {
    clearInterval(this.#beat);
    for (let attempt = 1; ; attempt++) {
      try {
        return await drop(this.#database, this.#run);
      } catch (error) {
        // A transaction of the server may still hold a table.
        if (attempt === DROP_ATTEMPTS || !(error instanceof SyncError) || error.kind !== 'transient') throw error;
        await delay(DROP_PAUSE_MS);
      }
    }
  }

  /** Leaves the tables as they are; the next run drops them. */
  async keep(): Promise<void> {
    clearInterval(this.#beat);
    await this.#database.run(`DELETE FROM ${RUN_TABLE} WHERE run = '${this.#run}'`);
  }

  async #sayAlive(): Promise<void> {
    try {
      await this.#database.run(`UPDATE ${RUN_TABLE} SET seen_at = ${now(this.#database)} WHERE run = '${this.#run}'`);
    } catch {
      // The database may be away, which is what chaos is about; the next beat tries again.
    }
  }
}

async function removeLeftovers(database: ChaosDatabase, told: (news: string) => void): Promise<void> {
  const tables = await ownTables(database);
  const foreign = tables.filter(({ mark }) => !mark.includes(MARK)).map(({ name }) => name);
  if (foreign.length > 0) {
    throw new ChaosError(
      'refused',
      `${database.where} has ${foreign.length === 1 ? 'a table' : 'tables'} ${foreign.join(', ')}, which syncline chaos did not make and would not touch; rename ${foreign.length === 1 ? 'it' : 'them'}`,
    );
  }
  const living = new Set<string>();
  if (tables.some(({ name }) => name === RUN_TABLE)) {
    const runs = await database.rows(`SELECT run, host, pid, ${now(database)} - seen_at FROM ${RUN_TABLE}`);
    for (const [run, host, pid, silentS] of runs) {
      if (Number(silentS) > DEAD_AFTER_S || (host === plainHost() && !runsHere(Number(pid)))) continue;
      living.add(String(run));
      throw new ChaosError(
        'refused',
        `another run of syncline chaos is under way in ${database.where}: process ${String(pid)} on ${String(host)}; wait for its end, or if it was killed there, for ${DEAD_AFTER_S} s`,
      );
    }
  }
  for (const { name } of tables) await database.run(`DROP TABLE ${name}`);
  if (tables.length > 0) told(`removed ${tables.length} tables that an earlier run left behind`);
}

async function ownTables(database: ChaosDatabase): Promise<{ readonly name: string; readonly mark: string }[]> {
  const rows = await database.rows(
    database.dialect === 'mysql'
      ? 'SELECT TABLE_NAME, TABLE_COMMENT FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()'
      : "SELECT name, sql FROM sqlite_schema WHERE type = 'table'",
  );
  const tables = rows.map(([name, mark]) => ({ name: String(name), mark: String(mark) }));
  if (tables.every(({ name }) => name !== 'syncline_meta')) {
    throw new ChaosError(
      'refused',
      `no server of Syncline has ever applied to ${database.where}: it has no table syncline_meta; name the database that the server's configuration has as its sink`,
    );
  }
  return tables.filter(({ name }) => name.toLowerCase().startsWith(PREFIX));
}

/** Creates the triggers; where that is not allowed, returns why. */
async function tryTriggers(database: ChaosDatabase, names: TableNames): Promise<true | string> {
  try {
    for (const statement of createTriggers(database.dialect, names)) await database.run(statement);
    return true;
  } catch (error) {
    if (!(error instanceof SyncError)) throw error;
    return error.message;
  }
}

async function drop(database: ChaosDatabase, run: string): Promise<void> {
  // The log last: the triggers of another table write to it.
  const { journal, item, state, strict, log } = tableNames(run);
  for (const name of [journal, item, state, strict, log]) await database.run(`DROP TABLE IF EXISTS ${name}`);
  await database.run(`DELETE FROM ${RUN_TABLE} WHERE run = '${run}'`);
  const [left] = await database.rows(`SELECT COUNT(*) FROM ${RUN_TABLE}`);
  if (Number(left?.[0]) === 0) await database.run(`DROP TABLE IF EXISTS ${RUN_TABLE}`);
}

/** The database's own clock, in seconds. */
function now({ dialect }: ChaosDatabase): string {
  return dialect === 'mysql' ? 'UNIX_TIMESTAMP()' : 'unixepoch()';
}

/** The name of this machine as a text without quotes. */
function plainHost(): string {
  return hostname().replaceAll(/[^\w.-]/g, '_');
}

function runsHere(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function explained(error: unknown, { where }: ChaosDatabase): unknown {
  if (!(error instanceof SyncError)) return error;
  if (error.code === 'sink_denied') {
    return new ChaosError(
      'refused',
      `${where}: ${messageOf(error)}; chaos needs CREATE, DROP, SELECT, INSERT, UPDATE and DELETE there, and TRIGGER to see every effect`,
      { cause: error },
    );
  }
  return new ChaosError('unreachable', `the sink ${where} cannot be used: ${error.message} [${error.code}]`, { cause: error });
}
