/** 50 jobs at a time, each with a connection: https://docs.bullmq.io/guide/workers/concurrency */
import { Worker } from 'bullmq';
import { createPool } from 'mysql2/promise';
import type { Item } from '../../workload.ts';
import { databaseOptions } from '../database.ts';
import { variable } from '../start-line.ts';
import { ONE_ROW, upsert } from '../upsert.ts';

/** The figure of its documentation, for jobs that wait for a database. */
const CONCURRENCY = 50;

const pool = createPool({ ...databaseOptions(), connectionLimit: CONCURRENCY });
const statement = upsert(ONE_ROW);
await openAll();

let left = Number(variable('COUNT'));
const worker = new Worker<Item>('changes', ({ data }) => pool.execute(statement, [...data]), {
  connection: { host: '127.0.0.1', port: Number(variable('REDIS_PORT')), maxRetriesPerRequest: null },
  concurrency: CONCURRENCY,
});
worker.on('failed', (job, error) => {
  console.error(error.message);
  // A job that is not tried again would be waited for without end.
  if (job === undefined || job.attemptsMade >= (job.opts.attempts ?? 1)) process.exit(1);
});
worker.on('error', (error) => console.error(error.message));
const finished = new Promise<void>((resolve) => {
  worker.on('completed', () => {
    left--;
    if (left === 0) resolve();
  });
});
await worker.waitUntilReady();
console.log('ready');

await finished;
console.log('done');
await worker.close();
await pool.end();

/** So that none is opened while the clock runs. */
async function openAll(): Promise<void> {
  const connections = await Promise.all(Array.from({ length: CONCURRENCY }, () => pool.getConnection()));
  for (const connection of connections) {
    await connection.prepare(statement);
    connection.release();
  }
}
