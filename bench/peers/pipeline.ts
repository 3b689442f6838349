import type { MariadbServer } from '../../test/support/mariadb-server.ts';
import { within } from '../../test/support/within.ts';
import type { Contender, Measurement } from '../contender.ts';
import { presentItem, presentRows, TABLE, type Item, type Workload } from '../workload.ts';
import { writeChanges } from './changes-file.ts';
import { checkRows, type Order } from './check-rows.ts';
import { firstChanges } from './first-changes.ts';
import { startProgram, type Command } from './program.ts';
import { startQueueRedis } from '../services/redis.ts';
import { startDatabase } from './stores.ts';

/** A producer, a queue and a consumer that writes to MariaDB. */
export interface Pipeline extends Pick<Contender, 'name' | 'title' | 'missing'> {
  /** Sent before anything is measured: what is started gets warm, and it shows how many changes take long enough. */
  readonly warmUpChanges: number;
  /** What can be said of the rows when all is done. */
  readonly order: Order;
  /** Makes what the programs need besides servers. */
  prepare?(): void;
  startQueue(): Promise<QueueServer>;
  readonly producer: Command;
  readonly consumer: Command;
}

export interface QueueServer {
  /** Variables that tell the programs where it is. */
  readonly variables: Readonly<Record<string, string>>;
  close(): Promise<void>;
}

/**
 * Counts from the first change that is sent to the last that is committed. Of a workload that would take longer than some
 * seconds only the first changes are sent: the rate of a slow one is known by then.
 */
export function createPipeline(pipeline: Pipeline): Contender {
  const { name, title, missing } = pipeline;
  return { name, title, missing, measure: (workload) => measure(pipeline, workload) };
}

/** The queue of most pipelines. */
export async function startRedisQueue(): Promise<QueueServer> {
  const redis = await startQueueRedis();
  return { variables: { REDIS_PORT: String(redis.port) }, close: () => redis.close() };
}

const MEASURED_SECONDS = 5;
/** A change that is lost would be waited for without end. */
const LIMIT_MS = 120_000;
const LOAD_ROWS = 1000;

async function measure(pipeline: Pipeline, workload: Workload): Promise<Measurement> {
  pipeline.prepare?.();
  await using closing = new AsyncDisposableStack();
  const mariadb = closing.adopt(await startDatabase(), (server) => server.close());
  const queue = closing.adopt(await pipeline.startQueue(), (server) => server.close());
  const pass = async (database: string, passed: Workload, count: number) => {
    const changes = firstChanges(passed, count);
    await createTable(mariadb, database, passed);
    const variables = { ...queue.variables, MARIADB_PORT: String(mariadb.port), MARIADB_DATABASE: database };
    const seconds = await send(pipeline, changes, variables);
    checkRows(await readTable(mariadb, database), passed, changes, pipeline.order);
    return { count: changes.length, seconds };
  };
  const warmUp = Math.min(pipeline.warmUpChanges, workload.changes);
  const { count, seconds } = await pass('warm_up', { kind: 'inserts', changes: warmUp, seed: workload.seed }, warmUp);
  return await pass('bench', workload, Math.max(warmUp, Math.ceil((count / seconds) * MEASURED_SECONDS)));
}

/** Runs both programs until the last change is committed; resolves with the seconds that took. */
async function send(
  { name, producer, consumer }: Pipeline,
  changes: readonly Item[],
  servers: Readonly<Record<string, string>>,
): Promise<number> {
  await using file = await writeChanges(changes);
  const variables = { ...servers, CHANGES: file.path, COUNT: String(changes.length) };
  await using consuming = await startProgram(consumer, variables);
  await using producing = await startProgram(producer, variables);
  const startMs = performance.now();
  producing.begin();
  const [endMs] = await within(LIMIT_MS, Promise.all([consuming.done, producing.done]), `${name} did not write all changes`);
  // A consumer that was killed now might leave messages that are not acknowledged.
  await within(LIMIT_MS, Promise.all([consuming.exited, producing.exited]), `${name} did not end`);
  return (endMs - startMs) / 1000;
}

async function createTable(mariadb: MariadbServer, database: string, workload: Workload): Promise<void> {
  await mariadb.query(`CREATE DATABASE ${database}`);
  const connection = await mariadb.connect(database);
  try {
    await connection.query(TABLE);
    const rows = Array.from({ length: presentRows(workload) }, (_, index) => presentItem(index + 1));
    for (let i = 0; i < rows.length; i += LOAD_ROWS) await connection.query('INSERT INTO item VALUES ?', [rows.slice(i, i + LOAD_ROWS)]);
  } finally {
    connection.destroy();
  }
}

async function readTable(mariadb: MariadbServer, database: string): Promise<unknown[][]> {
  const connection = await mariadb.connect(database);
  try {
    const [rows] = await connection.query({ sql: 'SELECT id, sku, name, price, stock, changed_at FROM item', rowsAsArray: true });
    return rows as unknown[][];
  } finally {
    connection.destroy();
  }
}
