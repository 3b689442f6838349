/**
 * A client process for the fault tests: sends rows of its generation, n = 1, 2, 3, …, and writes down, after each block,
 * up to which n they are durable in its spool. SIGTERM makes it flush until everything is applied and end with 0.
 */
import { appendFileSync } from 'node:fs';
import { connect } from '../../src/client/client.ts';

const BLOCK = 20;

const env = (name: string): string => {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set`);
  return value;
};

const keys = Number(env('KEYS'));
const generation = Number(env('GENERATION'));
const log = env('PRODUCER_LOG');
const stop = new AbortController();
process.on('SIGTERM', () => stop.abort());

const client = await connect({ url: env('SYNCLINE_URL'), spool: env('SPOOL'), offline: true });
client.on('rejected', (rejection) => appendFileSync(log, `rejected ${JSON.stringify({ ...rejection, rows: undefined })}\n`));
client.on('error', (error) => appendFileSync(log, `error ${error.code} ${error.message}\n`));
const items = client.table('item', { key: ['id'] });
const plain = client.table('plain', { key: ['id'] });

let n = 0;
while (!stop.signal.aborted) {
  for (let i = 0; i < BLOCK; i++) {
    n++;
    const row = { id: generation * keys + (n % keys), gen: generation, n };
    await items.upsert(row);
    await plain.upsert({ ...row, pad: 'p'.repeat(n % 200) });
  }
  await client.flush({ until: 'spooled' });
  appendFileSync(log, `spooled ${generation} ${n}\n`);
  await new Promise((resolve) => setTimeout(resolve, 5));
}
await client.flush();
appendFileSync(log, `applied ${generation} ${n}\n`);
await client.close();
