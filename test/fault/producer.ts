/**
 * A client process for the fault tests: sends rows of its generation, n = 1, 2, 3, …, and writes down, after each block,
 * up to which n they are durable in its spool. Now and then it sends a row that every database refuses. SIGTERM makes it flush until everything is applied and end with 0.
 */
import { appendFileSync, readFileSync } from 'node:fs';
import { connect } from '../../src/client/client.ts';

const BLOCK = 20;
/** Above this many changes on their way nothing is added: a drill should test faults, and not how long a backlog takes. */
const MAX_PENDING = 20_000;

const env = (name: string): string => {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set`);
  return value;
};

const keys = Number(env('KEYS'));
const refusedEvery = Number(env('REFUSED_EVERY'));
const generation = Number(env('GENERATION'));
const log = env('PRODUCER_LOG');
/** Between two blocks. */
const pauseMs = Number(process.env['PAUSE_MS'] ?? 5);
const stop = new AbortController();
let n = 0;
process.on('SIGTERM', () => stop.abort());

const pem = (name: string) => readFileSync(env(name), 'utf8');
/** Where the server asks for it. */
const tls = 'PRODUCER_CA' in process.env ? { tls: { ca: pem('PRODUCER_CA'), cert: pem('PRODUCER_CERT'), key: pem('PRODUCER_KEY') } } : {};
const client = await connect({ url: env('SYNCLINE_URL'), spool: env('SPOOL'), offline: true, ...tls });
client.on('rejected', ({ code, message, table, rows }) => {
  if (rows.length === 0) return appendFileSync(log, `foreign ${code} ${message}\n`);
  if (table !== 'strict') return appendFileSync(log, `rejected ${code} ${message}\n`);
  for (const { row } of rows) appendFileSync(log, `refused ${String(row['gen'])} ${String(row['n'])}\n`);
});
client.on('error', (error) => appendFileSync(log, `error ${error.code} ${error.message}\n`));
// For whoever wonders why it does not end.
process.on('SIGUSR2', () => console.error(JSON.stringify({ ...client.status(), n })));
const items = client.table('item', { key: ['id'] });
const plain = client.table('plain', { key: ['id'] });
const strict = client.table('strict', { key: ['gen', 'n'] });

while (!stop.signal.aborted) {
  for (let i = 0; i < BLOCK; i++) {
    n++;
    const row = { id: generation * keys + (n % keys), gen: generation, n };
    await items.upsert(row);
    await plain.upsert({ ...row, pad: 'p'.repeat(n % 200) });
    // One that the server finds, and one that only the database does.
    if (n % refusedEvery === 0) await strict.insert({ gen: generation, n, needed: n % (2 * refusedEvery) === 0 ? null : 'refused' });
  }
  await client.flush({ until: 'spooled' });
  appendFileSync(log, `spooled ${generation} ${n}\n`);
  do await pause();
  while (client.status().pendingChanges > MAX_PENDING && !stop.signal.aborted);
}
await client.flush();
appendFileSync(log, `applied ${generation} ${n}\n`);
await client.close();

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, pauseMs));
}
