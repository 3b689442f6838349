/**
 * A client of `syncline chaos`, a process of its own: takes the steps of its life (`workload.ts`) at a steady pace, and
 * notes after each block up to where they are durable in its spool. Told to finish, it waits until everything is applied
 * and ends with exit code 0. It ends when whoever started it does.
 */
import { appendFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { connect, type Client, type Rejection } from '../client/client.ts';
import { SETTINGS_VARIABLE, type Answer, type ClientSettings, type Order } from './client-messages.ts';
import { noteLine, type Note } from './history.ts';
import { StepWriter } from './step-writer.ts';
import { CHANGES_PER_STEP, stepsOf, type Step } from './workload.ts';

const TICK_MS = 20;
const MAX_BLOCK = 200;
const MAX_OWED_S = 0.2;
/** More than what so many seconds bring is not on its way: it is to be seen how faults are survived, and not a backlog. */
const MAX_PENDING_S = 10;
const PROGRESS_MS = 200;

// Ctrl-C in a terminal reaches every process of the group; whoever started this one says when it is time to end.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});
process.on('disconnect', () => process.exit(1));

const settings = JSON.parse(process.env[SETTINGS_VARIABLE] ?? 'null') as ClientSettings;
const { client: number, life, tables } = settings;

const maxPending = settings.stepsPerSecond * CHANGES_PER_STEP * MAX_PENDING_S;

const pace = {
  /** Steps that may be taken and were not yet. */
  owed: 0,
  /** As {@link owed}, of a burst. */
  burst: 0,
  /** The last step of which every change was handed to the client. */
  written: 0,
};
const finish = new AbortController();

const client = await connect({
  url: settings.url,
  spool: settings.spool,
  offline: true,
  agent: `syncline-chaos ${number}`,
  ...(settings.servername === undefined ? {} : { tls: { servername: settings.servername } }),
});
client.on('rejected', noteRejection);
client.on('regressed', (error) =>
  note(['complaint', `the server says that it lost what it had acknowledged as applied: ${error.message}`]),
);
client.on('diverged', ({ reason }) => note(['complaint', `the server knows other content under its numbers: ${reason}`]));
client.on('error', (error) => {
  const stopped = client.status().failure !== undefined;
  note(stopped ? ['complaint', `stopped: ${error.message} [${error.code}]`] : ['note', `${error.message} [${error.code}]`]);
});
process.on('message', (order: Order) => obey(order));
setInterval(() => answer({ type: 'progress', applied: client.status().appliedChanges }), PROGRESS_MS).unref();
answer({ type: 'ready' });

await work(client);

async function work(client: Client): Promise<void> {
  const changes = new StepWriter(client, settings);
  const steps = stepsOf(settings.seed, number, life);
  let lastMs = performance.now();
  while (!finish.signal.aborted) {
    const nowMs = performance.now();
    // Who stood still, or was held back, does not make up for it.
    pace.owed = Math.min(pace.owed + ((nowMs - lastMs) * settings.stepsPerSecond) / 1000, MAX_OWED_S * settings.stepsPerSecond + 1);
    lastMs = nowMs;
    if (pace.owed + pace.burst >= 1 && client.status().pendingChanges <= maxPending) await block(changes, steps);
    await delay(TICK_MS);
  }
  await client.flush();
  note(['applied', life, pace.written]);
  await client.close();
  process.exit(0);
}

async function block(changes: StepWriter, steps: Iterator<Step, never>): Promise<void> {
  const count = Math.min(Math.floor(pace.owed + pace.burst), MAX_BLOCK);
  const ofBurst = Math.min(count, pace.burst);
  pace.burst -= ofBurst;
  pace.owed -= count - ofBurst;
  note(['begun', life, pace.written + count, Date.now()]);
  for (let i = 0; i < count; i++) {
    const step = steps.next().value;
    await changes.take(step);
    pace.written = step.n;
  }
  const kept = pace.written;
  await client.flush({ until: 'spooled' });
  note(['kept', life, kept]);
}

function obey(order: Order): void {
  switch (order.type) {
    case 'mark':
      void mark(order.id);
      break;
    case 'burst':
      pace.burst += order.steps;
      break;
    case 'finish':
      finish.abort();
      break;
  }
}

async function mark(id: number): Promise<void> {
  // A burst counts as written once it is.
  while (pace.burst > 0 && !finish.signal.aborted) await delay(TICK_MS);
  const upTo = pace.written;
  try {
    await client.flush();
  } catch {
    // The client has stopped, which its error event has told.
    return;
  }
  note(['applied', life, upTo]);
  answer({ type: 'marked', id });
}

function noteRejection({ table, code, message, rows }: Rejection): void {
  if (table !== tables.strict) return note(['note', `told that a row of ${table ?? 'a table'} is refused: ${message} [${code}]`]);
  for (const { row } of rows) note(['refused', Number(row['life']), Number(row['n'])]);
}

/** Written at once: what the death of this process would take away must not have been relied on. */
function note(line: Note): void {
  appendFileSync(settings.notes, noteLine(line));
}

function answer(message: Answer): void {
  process.send?.(message, () => {
    // Whoever started this process may be gone; 'disconnect' then ends it.
  });
}
