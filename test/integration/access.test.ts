import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { connect, type Client, type ConnectOptions } from '../../src/client/client.ts';
import { OPS, type Op } from '../../src/core/change.ts';
import { encodeBatch } from '../../src/protocol/batch.ts';
import { hashToken } from '../../src/ingest/producers.ts';
import { eventually } from '../support/eventually.ts';
import { FrameChain } from '../support/ingest-world.ts';
import { mariadbAvailable, startMariadb, type MariadbServer } from '../support/mariadb-server.ts';
import { RawSession } from '../support/raw-session.ts';
import { redisAvailable, startRedis, type RedisServer } from '../support/redis-server.ts';
import { ServerProcess } from '../support/server-process.ts';

const TABLES = ['orders', 'stock_a', 'stock_b', 'customers', 'secret'] as const;
type Table = (typeof TABLES)[number];

/** What somebody tries: an operation on a table, writing these columns beside the key. */
interface Attempt {
  readonly table: Table;
  readonly op: Op;
  readonly columns: readonly ('a' | 'b')[];
}

/** Each producer with its rules, and, in words of its own, what they come to. */
const PRODUCERS: readonly {
  readonly name: string;
  readonly rules?: readonly object[];
  readonly may: (attempt: Attempt) => boolean;
}[] = [
  { name: 'owner', may: () => true },
  { name: 'everything', rules: [{ tables: ['*'] }], may: () => true },
  { name: 'nothing', rules: [], may: () => false },
  {
    name: 'orders-only',
    rules: [{ tables: ['orders'], operations: ['insert', 'delete'] }],
    may: ({ table, op }) => table === 'orders' && (op === 'insert' || op === 'delete'),
  },
  {
    name: 'stock',
    rules: [{ tables: ['stock_*'], operations: ['upsert'] }],
    may: ({ table, op }) => table.startsWith('stock_') && op === 'upsert',
  },
  {
    name: 'columns',
    rules: [
      { tables: ['customers'], operations: ['update', 'upsert'], columns: ['a'] },
      { tables: ['customers', 'orders'], operations: ['delete'] },
    ],
    may: ({ table, op, columns }) =>
      op === 'delete' ? table === 'customers' || table === 'orders' : table === 'customers' && op !== 'insert' && !columns.includes('b'),
  },
];

const ATTEMPTS: readonly Attempt[] = TABLES.flatMap((table) =>
  OPS.flatMap((op): Attempt[] =>
    op === 'delete'
      ? [{ table, op, columns: [] }]
      : [
          { table, op, columns: ['a'] },
          { table, op, columns: ['a', 'b'] },
        ],
  ),
);

const tokenOf = (name: string) => `${name}.for-this-test`;
const running: { close(): Promise<unknown> }[] = [];
afterEach(async () => {
  for (const one of running.splice(0).toReversed()) await one.close();
});

async function startServer(options: object, env: Record<string, string> = {}): Promise<ServerProcess> {
  const server = await ServerProcess.create(env);
  running.push(server);
  configure(server, options);
  await server.start();
  return server;
}

/** Writes the file of a server; JSON is YAML. */
function configure(server: ServerProcess, options: object): void {
  writeFileSync(join(server.data, 'syncline.yaml'), JSON.stringify(options));
}

async function connectAs(server: ServerProcess, name: string, options: ConnectOptions = {}): Promise<Client> {
  const client = await connect({ url: server.url, token: tokenOf(name), ...options });
  running.push({ close: () => client.close({ flush: false }) });
  return client;
}

type RowState = 'seed' | 'gone' | { readonly a: string | null; readonly b: string | null };

/** What a row of its own looks like after the attempt, if that was allowed. The row was there before unless it is inserted. */
function after({ op, columns }: Attempt): RowState {
  if (op === 'delete') return 'gone';
  const before = op === 'insert' ? null : 'seed';
  return { a: columns.includes('a') ? op : before, b: columns.includes('b') ? op : before };
}

async function attempt(client: Client, { table, op, columns }: Attempt, id: number): Promise<void> {
  const row = { id, ...Object.fromEntries(columns.map((column) => [column, op])) };
  const rows = client.table(table, { key: ['id'] });
  await (op === 'delete' ? rows.delete(id) : rows[op](row));
}

describe.each([
  { queue: 'embedded', sink: 'sqlite' },
  { queue: 'embedded', sink: 'mysql' },
  { queue: 'redis', sink: 'sqlite' },
  { queue: 'redis', sink: 'mysql' },
])('every table, operation and producer, with the $queue queue before $sink', ({ queue, sink }) => {
  let redis: RedisServer | undefined;
  let mariadb: MariadbServer | undefined;
  beforeAll(async () => {
    if (queue === 'redis') redis = await startRedis({ args: ['--appendonly', 'yes'] });
    if (sink === 'mysql') mariadb = await startMariadb();
    const tables = TABLES.map((table) => `CREATE TABLE shop.${table} (id INT PRIMARY KEY, a TEXT, b TEXT)`);
    await mariadb?.query(['CREATE DATABASE shop CHARACTER SET utf8mb4', ...tables]);
  });
  afterAll(async () => {
    await mariadb?.close();
    await redis?.close();
  });

  const isMissing = (queue === 'redis' && !redisAvailable()) || (sink === 'mysql' && !mariadbAvailable());
  test.skipIf(isMissing)(
    'nothing is written that is not allowed, and everything else is',
    async () => {
      const server = await startServer(
        { producers: PRODUCERS.map(({ name, rules }) => ({ name, rules, tokens: [hashToken(tokenOf(name))] })), queue: { partitions: 1 } },
        { ...(redis && { SYNCLINE_QUEUE: redis.url }), ...(mariadb && { SYNCLINE_SINK: mariadb.url('shop') }) },
      );
      const owner = await connectAs(server, 'owner');
      const cases = PRODUCERS.flatMap(({ name, may }) =>
        (['alone', 'together'] as const).flatMap((how) => ATTEMPTS.map((one) => ({ name, how, attempt: one, isAllowed: may(one) }))),
      ).map((one, id) => ({ ...one, id }));
      for (const { attempt: one, id } of cases)
        if (one.op !== 'insert') await owner.table(one.table, { key: ['id'] }).upsert({ id, a: 'seed', b: 'seed' });
      // So that every table is there, whoever may write it.
      for (const [i, table] of TABLES.entries()) await owner.table(table, { key: ['id'] }).upsert({ id: -1 - i, a: 'seed', b: 'seed' });
      await owner.flush();

      const rejected = new Map<string, number[]>();
      for (const { name } of PRODUCERS) {
        // All that are sent together share a batch: it is full after a second or a mebibyte.
        const client = await connectAs(server, name, { lingerMs: 1_000, batchBytes: 1 << 20 });
        const ids: number[] = [];
        client.on('rejected', ({ code, rows }) => {
          expect(code).toBe('not_allowed');
          ids.push(...rows.map(({ row }) => Number(row['id'])));
        });
        for (const one of cases.filter((each) => each.name === name && each.how === 'alone')) {
          await attempt(client, one.attempt, one.id);
          await client.flush();
        }
        for (const one of cases.filter((each) => each.name === name && each.how === 'together')) await attempt(client, one.attempt, one.id);
        await client.flush();
        rejected.set(name, ids);
      }

      const found = new Map<string, RowState>();
      for (const table of TABLES)
        for (const { id, a, b } of await rowsOf(server, table))
          found.set(`${table} ${id}`, a === 'seed' && b === 'seed' ? 'seed' : { a, b });
      for (const { id, name, how, attempt: one, isAllowed } of cases) {
        const untouched = one.op === 'insert' ? 'gone' : 'seed';
        const what = `${name} ${how}: ${one.op} of ${one.table} (${one.columns.join(', ')})`;
        expect(found.get(`${one.table} ${id}`) ?? 'gone', what).toEqual(isAllowed ? after(one) : untouched);
        expect(rejected.get(name)?.filter((other) => other === id).length, what).toBe(isAllowed ? 0 : 1);
      }
      expect(cases.filter(({ isAllowed }) => !isAllowed).length).toBeGreaterThan(250);
    },
    120_000,
  );

  async function rowsOf(server: ServerProcess, table: string): Promise<{ id: number; a: string | null; b: string | null }[]> {
    if (mariadb !== undefined) return (await mariadb.query(`SELECT id, a, b FROM shop.${table}`)) as never;
    const db = new DatabaseSync(join(server.data, 'data.db'), { readOnly: true });
    const rows = db.prepare(`SELECT id, a, b FROM ${table}`).all();
    db.close();
    return rows as never;
  }
});

test('a rule that is taken away while changes wait counts when they are applied', async () => {
  const withRules = (...tables: string[]) => ({
    producers: [{ name: 'shop', tokens: [hashToken(tokenOf('shop'))], rules: [{ tables }] }],
    queue: { partitions: 1 },
  });
  const server = await startServer(withRules('orders', 'customers'));
  const shop = await connectAs(server, 'shop');
  const codes: string[] = [];
  shop.on('rejected', ({ code, rows }) => codes.push(...rows.map(({ table, row }) => `${code} ${table} ${String(row['id'])}`)));
  for (const table of ['orders', 'customers']) await shop.table(table, { key: ['id'] }).upsert({ id: 1, a: 'before' });
  await shop.flush();

  // Nothing is applied while somebody else writes the file.
  const db = new DatabaseSync(join(server.data, 'data.db'));
  db.exec('BEGIN IMMEDIATE');
  for (const table of ['orders', 'customers']) await shop.table(table, { key: ['id'] }).upsert({ id: 2, a: 'after' });
  await shop.flush({ until: 'stored' });
  configure(server, withRules('customers'));
  server.signal('SIGHUP');
  await eventually(() => expect(server.output).toContain('"changed":["producers"]'));
  // What runs began with the old rules: until it has failed, and one more after it.
  const failed = await failedSlices(server);
  await eventually(async () => expect(await failedSlices(server)).toBeGreaterThanOrEqual(failed + 2), 40_000);
  db.exec('COMMIT');
  await shop.flush();

  expect(codes).toEqual(['not_allowed orders 2']);
  expect(db.prepare('SELECT id FROM orders').all()).toEqual([expect.objectContaining({ id: 1 })]);
  expect(db.prepare('SELECT id FROM customers ORDER BY id').all()).toHaveLength(2);
  expect(db.prepare('SELECT table_name AS tbl, code FROM syncline_dead_letter').all()).toEqual([
    expect.objectContaining({ tbl: 'orders', code: 'not_allowed' }),
  ]);
  db.close();
}, 60_000);

async function failedSlices(server: ServerProcess): Promise<number> {
  const metrics = await (await fetch(`${server.adminUrl}/metrics`)).text();
  return Number(/syncline_slice_retries_total\{code="sink_busy"\} (\d+)/.exec(metrics)?.[1] ?? 0);
}

describe.each(['embedded', 'redis'])('with the %s queue', (queue) => {
  test.skipIf(queue === 'redis' && !redisAvailable())('what one producer sent cannot be sent again by another', async () => {
    const redis = queue === 'redis' ? await startRedis({ args: ['--appendonly', 'yes'] }) : undefined;
    if (redis !== undefined) running.push(redis);
    const server = await startServer(
      { producers: ['shop', 'erp'].map((name) => ({ name, tokens: [hashToken(tokenOf(name))] })), queue: { partitions: 1 } },
      redis && { SYNCLINE_QUEUE: redis.url },
    );
    const stream = 'a5'.repeat(16);
    const chain = new FrameChain(0, 0);
    for (const a of ['first', 'second'])
      chain.add(encodeBatch({ groups: [{ table: 'orders', op: 'upsert', keyCount: 1, columns: ['id', 'a'], rows: [[1, a]] }] }));
    const open = (name: string) => {
      const session = new RawSession(server.tcpPort, '127.0.0.1', stream, tokenOf(name));
      running.push({ close: async () => session.close() });
      return session;
    };
    const shop = open('shop');
    shop.send(chain.bytes(1));
    await eventually(() => expect(shop.frames).toContain('APPLIED'));
    const meanwhile = open('erp');
    await eventually(() => expect(meanwhile.error).toBe('stream_owned_by_other'));
    expect(shop.isOpen).toBe(true);
    shop.close();
    const afterwards = open('erp');
    afterwards.send(chain.bytes(1, 2));
    await eventually(() => expect(afterwards.error).toBe('stream_owned_by_other'));
    const again = open('shop');
    again.send(chain.bytes(1, 2));
    await eventually(() => expect(again.frames).toContain('STORED'));
    expect(meanwhile.frames).toEqual(['ERROR']);
    expect(afterwards.frames).toEqual(['ERROR']);
  });
});
