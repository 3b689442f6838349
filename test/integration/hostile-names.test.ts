import { DatabaseSync } from 'node:sqlite';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { connect } from '../../src/client/client.ts';
import { mariadbAvailable, startMariadb } from '../support/mariadb-server.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { ServerProcess } from '../support/server-process.ts';

const NAMES = 10_000;
const TIMEOUT_MS = 180_000;
/** In every name: what is found in a log of statements is one of ours. */
const MARK = 'hOstile';
const CANARY = 'CREATE TABLE canary (id INTEGER PRIMARY KEY, name VARCHAR(40))';

/** What breaks out of an identifier, means another table, or is no name at all. */
const PIECES: readonly string[] = [
  '`',
  '``',
  '"',
  "'",
  "''",
  '\\',
  "\\'",
  ';',
  '--',
  '-- \n',
  '#',
  '/*',
  '*/',
  '/*!50000 ',
  '.',
  'canary',
  'canary`.`name',
  'main.canary',
  'mysql.user',
  'information_schema.tables',
  'sqlite_master',
  'syncline_dead_letter',
  '`; DROP TABLE canary; -- ',
  '"; DROP TABLE canary; -- ',
  '` = 1, `name',
  ' OR 1=1',
  ') VALUES (1); DELETE FROM canary; -- ',
  '?',
  '??',
  ':name',
  '@@version',
  '$1',
  '${name}',
  '%s',
  '%00',
  '\0',
  '\n',
  '\r',
  '\t',
  '\u001b[2J',
  '\u0085',
  '\u00a0',
  '\u2028',
  '\u202e',
  '\ufeff',
  '\uff07',
  '\u0131',
  'ſ',
  '😀',
  '__proto__',
  'constructor',
  'toString',
  'NULL',
  'SELECT',
  ' ',
];

function hostileNames(seed: number): string[] {
  const random = new SeededRandom(seed);
  const names = new Set<string>();
  while (names.size < NAMES) {
    const pieces = Array.from({ length: 1 + random.below(5) }, () => random.pick(PIECES));
    pieces.splice(random.below(pieces.length + 1), 0, MARK);
    const padding = random.chance(0.02) ? 'x'.repeat(200) : '';
    names.add(`${pieces.join('')}${padding}`);
  }
  return [...names].map((name) => Buffer.from(name).subarray(0, 250).toString().replaceAll('\ufffd', ''));
}

let server: ServerProcess | undefined;
afterEach(async () => server?.close());

/** Sends each name once: every other as a table, the rest as a column. Returns how often each code came back, by what the name was. */
async function send(url: string, seed: number): Promise<Record<string, number>> {
  const client = await connect({ url });
  const counts: Record<string, number> = {};
  client.on('rejected', ({ code, rows }) => {
    for (const { table } of rows) {
      const what = table === 'canary' ? `column: ${code}` : `table: ${code}`;
      counts[what] = (counts[what] ?? 0) + 1;
    }
  });
  const canary = client.table('canary', { key: ['id'] });
  await canary.upsert({ id: 1, name: 'alive' });
  for (const [i, name] of hostileNames(seed).entries()) {
    if (i % 2 === 0) await client.table(name, { key: ['id'] }).upsert({ id: 1, name: 'x' });
    else await canary.upsert({ id: 2 + (i % 50), [name]: 'x' });
  }
  const { rejected } = await client.close();
  expect(rejected).toBe(NAMES);
  return counts;
}

const ALL_REFUSED = { 'table: unknown_table': NAMES / 2, 'column: unknown_column': NAMES / 2 };

describe('names that break out of SQL, as tables and as columns, are dead letters and nothing else:', () => {
  test('SQLite', { timeout: TIMEOUT_MS }, async () => {
    server = await ServerProcess.create({ SYNCLINE_SINK_SCHEMA: 'strict' });
    const file = join(server.data, 'data.db');
    const database = new DatabaseSync(file);
    database.exec(CANARY);
    await server.start();
    const schema = () => database.prepare('SELECT type, name, sql FROM sqlite_master ORDER BY name').all();
    const before = schema();
    expect(await send(server.url, 1)).toEqual(ALL_REFUSED);
    expect(schema()).toEqual(before);
    expect(database.prepare('SELECT * FROM canary').all()).toEqual([{ id: 1, name: 'alive' }]);
    database.close();
  });

  test.skipIf(!mariadbAvailable())('MariaDB (skipped where mariadbd is not installed)', { timeout: TIMEOUT_MS }, async () => {
    await using mariadb = disposable(await startMariadb({ args: ['--general-log=1', '--general-log-file=general.log'] }));
    await mariadb.server.query('CREATE DATABASE shop CHARACTER SET utf8mb4');
    await mariadb.server.query(CANARY, 'shop');
    server = await ServerProcess.create({ SYNCLINE_SINK: mariadb.server.url('shop') });
    await server.start();
    const schema = () =>
      mariadb.server.query(
        `SELECT table_schema, table_name, column_name FROM information_schema.columns
         WHERE table_schema NOT IN ('information_schema', 'performance_schema') ORDER BY 1, 2, 3`,
      );
    const before = await schema();
    expect(await send(server.url, 2)).toEqual(ALL_REFUSED);
    expect(await schema()).toEqual(before);
    expect(await mariadb.server.query('SELECT * FROM canary', 'shop')).toEqual([{ id: 1, name: 'alive' }]);
    const log = await readFile(join(mariadb.server.datadir, 'general.log'), 'utf8');
    // As a value it is in dead letters, and where the catalogue is asked for that table.
    expect(log).toContain(MARK);
    expect(
      log
        .replaceAll(LITERAL, '?')
        .split('\n')
        .filter((line) => line.includes(MARK)),
    ).toEqual([]);
  });
});

/** A string of SQL as the server reads it. */
const LITERAL = /'(?:[^'\\]|''|\\.)*'/gs;

function disposable(mariadb: Awaited<ReturnType<typeof startMariadb>>) {
  return { server: mariadb, [Symbol.asyncDispose]: () => mariadb.close() };
}
