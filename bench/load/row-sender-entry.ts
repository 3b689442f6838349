/** A process that sends rows over HTTP, or by the SDK; see {@link file://./row-sender.ts}. */
import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { connect } from '../../src/client/client.ts';
import { messageOf } from '../../src/core/errors.ts';
import { changesOf, ITEM_COLUMNS } from '../workload.ts';
import type { RowCommand, RowPlan, RowReport } from './row-sender-messages.ts';

const CHUNK_BYTES = 64 * 1024;
/** Rows that a program makes before it lets others have their turn. */
const ROWS_PER_TURN = 500;

type Row = Readonly<Record<string, unknown>>;

let send: () => Promise<unknown> = () => Promise.resolve();
process.on('disconnect', () => process.exit(0));
process.on('message', (command: RowCommand) => {
  const doing = command.type === 'prepare' ? prepare(command.plan) : go();
  doing.then(report, (error: unknown) => report({ type: 'failed', message: messageOf(error) }));
});

async function prepare(plan: RowPlan): Promise<RowReport> {
  const rows: Row[][] = Array.from({ length: plan.connections }, () => []);
  let count = 0;
  for (const item of changesOf(plan.workload))
    rows[count++ % plan.connections]!.push(Object.fromEntries(ITEM_COLUMNS.map((column, i) => [column, item[i]])));
  const senders = await Promise.all(rows.map((some) => (plan.by === 'http' ? byHttp(plan, some) : bySdk(plan, some))));
  send = () => Promise.all(senders.map((one) => one()));
  return { type: 'ready' };
}

async function go(): Promise<RowReport> {
  const startedMs = performance.now();
  const startedCpu = process.cpuUsage();
  await send();
  const { user, system } = process.cpuUsage(startedCpu);
  return { type: 'stored', seconds: (performance.now() - startedMs) / 1000, cpuSeconds: (user + system) / 1e6 };
}

async function byHttp({ host, port, token, table }: RowPlan, rows: readonly Row[]): Promise<() => Promise<void>> {
  const body = Buffer.from(rows.map((row) => `${JSON.stringify({ table, key: ['id'], row })}\n`).join(''));
  return async () => {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/x-ndjson', 'content-length': body.length };
    const sending = request({ host, port, path: '/api/v1/changes', method: 'POST', headers, agent: false });
    const answered = once(sending, 'response') as Promise<[IncomingMessage]>;
    for (let at = 0; at < body.length; at += CHUNK_BYTES)
      if (!sending.write(body.subarray(at, at + CHUNK_BYTES))) await Promise.race([once(sending, 'drain'), answered]);
    sending.end();
    const [answer] = await answered;
    const said = await text(answer);
    if (answer.statusCode !== 202 || (JSON.parse(said) as { changes: number }).changes !== rows.length)
      throw new Error(`the server answered ${answer.statusCode}: ${said.slice(0, 500)}`);
  };
}

async function bySdk({ host, port, token, table }: RowPlan, rows: readonly Row[]): Promise<() => Promise<void>> {
  const client = await connect({ url: `tcp://${host}:${port}`, token, agent: 'syncline-bench', bufferBytes: Number.MAX_SAFE_INTEGER });
  const items = client.table(table, { key: ['id'] });
  return async () => {
    for (const [index, row] of rows.entries()) {
      void items.upsert(row);
      if (index % ROWS_PER_TURN === 0) await new Promise((resolve) => void setImmediate(resolve));
    }
    await client.flush({ until: 'stored' });
  };
}

function report(message: RowReport): void {
  process.send?.(message);
}
