/** Every table of `syncline chaos` begins so. Not with `syncline_`: no change may reach tables of that name. */
export const PREFIX = 'chaos_syncline_';

/** Stands in the definition of each table, so that a later run knows what it may drop. */
export const MARK = 'made by syncline chaos';

/** Which runs are under way; the one table that all runs share. */
export const RUN_TABLE = `${PREFIX}run`;

export type Dialect = 'mysql' | 'sqlite';

/**
 * The tables of one run. They have a name of their own in each run: what an earlier run left in a queue must not reach them.
 */
export interface TableNames {
  /** One row per step, inserted and never changed. */
  readonly journal: string;
  /** Few rows, changed again and again; triggers write every effect to `log`. */
  readonly item: string;
  /** The same changes without triggers, so that the server may fold them. */
  readonly state: string;
  /** Takes good rows and refuses the others. */
  readonly strict: string;
  /** Effects on `item` in the order in which they happened; empty where triggers may not be created. */
  readonly log: string;
}

/** `run` is a short name of lower-case letters and digits. */
export function tableNames(run: string): TableNames {
  const name = (table: string) => `${PREFIX}${run}_${table}`;
  return { journal: name('journal'), item: name('item'), state: name('state'), strict: name('strict'), log: name('log') };
}

/** Statements that create the tables of a run. */
export function createTables(dialect: Dialect, { journal, item, state, strict, log }: TableNames): string[] {
  const [int, counter] =
    dialect === 'mysql' ? ['BIGINT', 'BIGINT UNSIGNED NOT NULL AUTO_INCREMENT'] : ['INTEGER', 'INTEGER PRIMARY KEY AUTOINCREMENT'];
  const row = `client ${int} NOT NULL, life ${int} NOT NULL`;
  const changed = `${row}, id ${int} NOT NULL, n ${int} NOT NULL, pad VARCHAR(200), PRIMARY KEY (client, life, id)`;
  return [
    // The order of inserts: MySQL counts them in a column, SQLite has its rowid. The unique index or the CHECK keeps the
    // server from sorting the rows.
    table(
      dialect,
      journal,
      dialect === 'mysql'
        ? `${row}, n ${int} NOT NULL, at ${counter}, PRIMARY KEY (client, life, n), UNIQUE KEY (at)`
        : `${row}, n ${int} NOT NULL CHECK (n > 0), PRIMARY KEY (client, life, n)`,
    ),
    // Not to be folded, whether or not the server has seen the triggers yet: that is what the CHECK does as well.
    table(dialect, item, `${changed}, CHECK (n > 0)`),
    table(dialect, state, changed),
    table(
      dialect,
      strict,
      `${row}, n ${int} NOT NULL, needed VARCHAR(9) NOT NULL CHECK (needed <> 'refused'), PRIMARY KEY (client, life, n)`,
    ),
    table(
      dialect,
      log,
      `at ${counter}, ${row}, id ${int} NOT NULL, n ${int} NOT NULL, op CHAR(1) NOT NULL${dialect === 'mysql' ? ', PRIMARY KEY (at)' : ''}`,
    ),
  ];
}

/** Statements that make every effect on `item` leave a row in `log`. */
export function createTriggers(dialect: Dialect, { item, log }: TableNames): string[] {
  return (['INSERT', 'UPDATE', 'DELETE'] as const).map((event) => {
    const row = event === 'DELETE' ? 'OLD' : 'NEW';
    const insert = `INSERT INTO ${log} (client, life, id, n, op) VALUES (${row}.client, ${row}.life, ${row}.id, ${row}.n, '${event[0]}')`;
    const body = dialect === 'mysql' ? insert : `BEGIN ${insert}; END`;
    return `CREATE TRIGGER ${item}_${event.toLowerCase()} AFTER ${event} ON ${item} FOR EACH ROW ${body}`;
  });
}

/** One row per run that is under way; `seen_at` is the database's time in seconds. */
export function createRunTable(dialect: Dialect): string {
  const columns = 'run VARCHAR(32) NOT NULL PRIMARY KEY, host VARCHAR(255) NOT NULL, pid BIGINT NOT NULL, seen_at BIGINT NOT NULL';
  return table(dialect, RUN_TABLE, columns);
}

function table(dialect: Dialect, name: string, columns: string): string {
  return dialect === 'mysql'
    ? `CREATE TABLE ${name} (${columns}) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin COMMENT='${MARK}'`
    : `CREATE TABLE ${name} (${columns} /* ${MARK} */)`;
}
