/** A thread with a client of the SDK that writes rows at a steady rate; see {@link file://./load.ts}. */
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';
import { parentPort, workerData } from 'node:worker_threads';
import { connect, type Client, type Rejection, type Table } from '../../src/client/client.ts';
import { messageOf } from '../../src/core/errors.ts';
import type { ProducerCommand, ProducerNews, ProducerPlan } from './producer-messages.ts';

/** What is due in so much time is written and flushed together, as the SDK itself would let changes wait for each other. */
const TICK_MS = 5;
const NEWS_MS = 200;
/** How long to wait at the end until everything is applied. */
const PATIENCE_MS = 30_000;

const plan = workerData as ProducerPlan;
const body = 'x'.repeat(plan.size);
const stop = new AbortController();
let latency: RecordableHistogram = createHistogram();
let [sent, rejected] = [0, 0];
let trouble: string | undefined;
let client: Client | undefined;

const going = Promise.withResolvers<void>();
parentPort?.on('message', (command: ProducerCommand) => {
  if (command === 'stop') stop.abort();
  going.resolve();
});
try {
  await produce();
} catch (error) {
  trouble = messageOf(error);
}
tell('ended');
await client?.close({ flush: false });
parentPort?.close();

async function produce(): Promise<void> {
  const { url, token, table: name } = plan;
  client = await connect({ url, ...(token === undefined ? {} : { token }), agent: 'syncline-bench' });
  const table = client.table<{ id: number; body: string }>(name, { key: ['id'] });
  client.on('rejected', (rejection: Rejection) => {
    rejected += Math.max(1, rejection.changes.length);
    trouble = `${rejection.code}: ${rejection.message}`;
  });
  client.on('held', ({ reason }) => (trouble = reason));
  client.on('resumed', () => (trouble = undefined));
  client.on('disconnected', ({ reason }) => (trouble = reason));
  client.on('connected', () => (trouble = undefined));
  tell('connected');
  await going.promise;
  const news = setInterval(() => tell('progress'), NEWS_MS);
  try {
    await writeEvenly(client, table);
    await client.flush({ signal: AbortSignal.timeout(PATIENCE_MS) });
  } finally {
    clearInterval(news);
  }
}

/**
 * Writes what is due, whatever became of what was written before: a stall of the server delays everything behind it, and
 * all of that is in the latency. Only a full buffer of the client holds it up.
 */
async function writeEvenly(client: Client, table: Table<{ id: number; body: string }>): Promise<void> {
  const startedMs = performance.now();
  const total = Math.round(plan.changesPerSecond * plan.seconds);
  for (let tick = 1; sent < total && !stop.signal.aborted; tick++) {
    const dueMs = startedMs + tick * TICK_MS;
    const waitMs = dueMs - performance.now();
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
    const first = sent;
    for (const due = Math.min(total, Math.floor((tick * TICK_MS * plan.changesPerSecond) / 1000)); sent < due; sent++) {
      const written = table.upsert({ id: plan.firstKey + (sent % plan.keys) * plan.keyStep, body });
      if (client.status().waitingWrites > 0) await written;
    }
    if (sent > first) recordWhenApplied(client, dueMs, sent - first);
  }
}

function recordWhenApplied(client: Client, dueMs: number, changes: number): void {
  client.flush().then(
    () => {
      const us = Math.max(1, Math.round((performance.now() - dueMs) * 1000));
      for (let i = 0; i < changes; i++) latency.record(us);
    },
    // What is not applied at the end is counted there.
    () => {},
  );
}

function tell(type: ProducerNews['type']): void {
  const status = client?.status();
  const applied = status === undefined ? 0 : status.appliedChanges;
  const message: ProducerNews = { type, sent, applied, rejected, pending: status?.pendingChanges ?? 0, latency, trouble };
  // It is shared with whoever receives it, so what comes next gets another.
  latency = createHistogram();
  parentPort?.postMessage(message);
}
