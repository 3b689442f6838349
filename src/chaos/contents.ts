import { systemClock } from '../core/clock.ts';
import type { Sink } from '../sinks/sink.ts';
import { openSink } from '../sinks/registry.ts';
import type { ChangedRow, Contents, Effect, Letter, Place } from './audit.ts';
import type { ChaosDatabase, DatabaseAddress, SqlValues } from './database.ts';
import type { TableNames } from './tables.ts';

/** Rows that are read in one piece. */
const PAGE_ROWS = 20_000;
/** Dead letters that are read of a table. */
const MAX_LETTERS = 1_000_000;

/** Reads everything that the audit looks at. `triggers`: whether there are some that write to `log`. @throws {SyncError} */
export async function readContents(
  database: ChaosDatabase,
  address: DatabaseAddress,
  names: TableNames,
  triggers: 'log' | 'no log',
): Promise<Contents> {
  const place = 'client, life, n';
  const at = database.dialect === 'mysql' ? 'at' : 'rowid';
  const changed = async (table: string) =>
    (await database.rows(`SELECT ${place}, id, pad FROM ${table}`)).map((row): ChangedRow => ({
      ...placeOf(row),
      id: Number(row[3]),
      pad: row[4] === null ? null : String(row[4]),
    }));
  return {
    journal: (await pages(database, `SELECT ${place}, ${at} FROM ${names.journal}`, at)).map(placeOf),
    journalTable: names.journal,
    item: await changed(names.item),
    state: await changed(names.state),
    strict: (await database.rows(`SELECT ${place} FROM ${names.strict}`)).map(placeOf),
    log:
      triggers === 'log'
        ? (await pages(database, `SELECT ${place}, at, id, op FROM ${names.log}`, 'at')).map((row) => ({
            ...placeOf(row),
            id: Number(row[4]),
            op: String(row[5]) as Effect['op'],
          }))
        : undefined,
    letters: await readLetters(address, names),
    partitions: await readPartitions(database),
  };
}

/** The number of partitions that the server has recorded in its sink. */
async function readPartitions(database: ChaosDatabase): Promise<number> {
  const [row] = await database.rows(
    database.dialect === 'mysql' ? 'SELECT partitions FROM syncline_meta' : "SELECT value FROM syncline_meta WHERE name = 'partitions'",
  );
  return Number(row?.[0]);
}

/** Marks the dead letters of the run as dropped, so that nobody wonders about them; returns how many there were. @throws {SyncError} */
export async function dropLetters(address: DatabaseAddress, names: TableNames): Promise<number> {
  return withSink(address, async ({ deadLetters }) => {
    let dropped = 0;
    for (const table of LETTER_TABLES) {
      const letters = await deadLetters.list({ state: 'open', table: names[table], limit: MAX_LETTERS });
      for (let i = 0; i < letters.length; i += PAGE_ROWS)
        dropped += await deadLetters.drop(letters.slice(i, i + PAGE_ROWS).map(({ id }) => id));
    }
    return dropped;
  });
}

const LETTER_TABLES = ['journal', 'item', 'state', 'strict'] as const;

function readLetters(address: DatabaseAddress, names: TableNames): Promise<Letter[]> {
  return withSink(address, async ({ deadLetters }) => {
    const letters: Letter[] = [];
    for (const table of LETTER_TABLES) {
      for (const { key, op, code, message } of await deadLetters.list({ table: names[table], limit: MAX_LETTERS }))
        letters.push({ table, place: letterPlace(table, key), code, message: op === '' ? message : `${op}: ${message}` });
    }
    return letters;
  });
}

/** The key as the letter shows it: of `item` and `state` it names a row and no step. */
function letterPlace(table: Letter['table'], key: string): Place | undefined {
  if (table === 'item' || table === 'state') return undefined;
  try {
    const values = (JSON.parse(key) as unknown[]).map(Number);
    const [client, life, n] = values;
    if (client === undefined || life === undefined || n === undefined || !values.every(Number.isSafeInteger)) return undefined;
    return { client, life, n };
  } catch {
    return undefined;
  }
}

async function withSink<T>({ url, tls }: DatabaseAddress, work: (sink: Sink) => Promise<T>): Promise<T> {
  const sink = await openSink({ name: 'main', url, schema: 'strict', ...(tls === undefined ? {} : { tls }), clock: systemClock });
  try {
    return await work(sink);
  } finally {
    await sink.close();
  }
}

/** The rows of `select`, whose fourth column is `at`, in its order. */
async function pages(database: ChaosDatabase, select: string, at: string): Promise<SqlValues[]> {
  const rows: SqlValues[] = [];
  for (let above = '0'; ;) {
    const page = await database.rows(`${select} WHERE ${at} > ${above} ORDER BY ${at} LIMIT ${PAGE_ROWS}`);
    for (const row of page) rows.push(row);
    if (page.length < PAGE_ROWS) return rows;
    above = String(page.at(-1)?.[3]);
  }
}

function placeOf(row: SqlValues): Place {
  return { client: Number(row[0]), life: Number(row[1]), n: Number(row[2]) };
}
