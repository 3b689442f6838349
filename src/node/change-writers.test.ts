import { afterEach, beforeEach, expect, test } from 'vitest';
import { partitionOf } from '../core/partition.ts';
import { createAuthenticator, hashToken } from '../ingest/producers.ts';
import { createHttpWorld, type Answer, type HttpWorld } from '../../test/support/http-world.ts';

let world: HttpWorld;
/** Lets slices run again. */
let release = () => {};
beforeEach(async () => {
  world = await createHttpWorld({ web: { maxBodyBytes: 256 * 1024, bufferBytes: 512 * 1024 } });
});
afterEach(async () => {
  release();
  await world[Symbol.asyncDispose]();
});

const JSON_TYPE = { 'content-type': 'application/json' };
const LINES = { 'content-type': 'application/x-ndjson' };
const city = (id: number, name = `city ${id}`) => ({ table: 'cities', row: { id, name } });

function hold(): void {
  const { promise, resolve } = Promise.withResolvers<void>();
  world.held = promise;
  release = () => {
    world.held = undefined;
    resolve();
  };
}

function send(changes: unknown, headers: Record<string, string> = {}, ack = 'stored'): Promise<Answer> {
  return world.send(`/api/v1/changes?ack=${ack}`, JSON.stringify(changes), { ...JSON_TYPE, ...headers });
}

test.each([
  ['without a key', {}],
  ['with an Idempotency-Key', { 'idempotency-key': 'cities-of-today' }],
])('what was answered as stored is stored again where the queue loses it: %s', async (_name, headers) => {
  hold();
  expect((await send([city(1), city(2)], headers)).status).toBe(202);
  world.queue.wipe();
  release();
  await expect.poll(() => world.store.read('cities'), { timeout: 15_000 }).toHaveLength(2);
});

test('a repetition takes over from the request that waits until its changes are applied', async () => {
  hold();
  const key = { 'idempotency-key': 'cities-of-today' };
  for (let i = 0; i < 3; i++) expect((await send([{ ...city(1), op: 'insert' }], key)).status).toBe(202);
  const applied = send([{ ...city(1), op: 'insert' }], key, 'applied');
  release();
  expect((await applied).body).toMatchObject({ applied: 1, rejected: 0 });
  await expect.poll(() => world.door.status().streams).toBe(0);
});

test('while requests hold all the memory that they may, others are answered with 503 after a while', async () => {
  hold();
  const large = (id: number) => send([city(id, 'x'.repeat(200_000))]);
  expect([(await large(1)).status, (await large(2)).status]).toEqual([202, 202]);
  const refused = await large(3);
  expect([refused.status, refused.body['code'], refused.headers.get('retry-after')]).toEqual([503, 'buffer_full', '2']);
  const stream = Array.from({ length: 4_000 }, (_, id) => JSON.stringify(city(id, 'x'.repeat(100)))).join('\n');
  const cut = await world.send('/api/v1/changes', stream, LINES);
  expect([cut.status, cut.body['code']]).toEqual([503, 'buffer_full']);
  expect(world.door.status().usedBytes).toBeLessThan(700_000);
  release();
  await expect.poll(() => world.door.status().usedBytes).toBe(0);
  expect((await large(3)).status).toBe(202);
}, 30_000);

test('while the queue takes nothing requests are answered with 503 at once, and again with 202 when it has room', async () => {
  await using full = await createHttpWorld({ queueBytes: 50_000 });
  const { promise, resolve } = Promise.withResolvers<void>();
  full.held = promise;
  const body = JSON.stringify(city(1, 'x'.repeat(30_000)));
  expect((await full.send('/api/v1/changes', body, JSON_TYPE)).status).toBe(202);
  const second = full.send('/api/v1/changes', body, JSON_TYPE);
  await expect.poll(() => full.queue.admission.state).toBe('held');
  const refused = await full.send('/api/v1/changes', body, JSON_TYPE);
  expect([refused.status, refused.body['code'], refused.headers.get('retry-after')]).toEqual([503, 'queue_unavailable', '2']);
  resolve();
  expect((await second).status).toBe(202);
  await expect.poll(async () => (await full.send('/api/v1/changes', body, JSON_TYPE)).status).toBe(202);
});

test('a node that is drained answers with 503, and takes requests again when it is put back', async () => {
  expect((await send([city(1)], {}, 'applied')).status).toBe(200);
  await world.node.drain();
  const refused = await send([city(2)]);
  expect([refused.status, refused.body['code']]).toEqual([503, 'shutting_down']);
  world.node.resume();
  await expect.poll(async () => (await send([city(2)], {}, 'applied')).status, { timeout: 10_000 }).toBe(200);
});

test('of one producer no more than 256 requests are under way', async () => {
  hold();
  const waiting = Array.from({ length: 256 }, (_, id) => send([city(id)], {}, 'applied'));
  await expect.poll(async () => (await send([city(1)])).status).toBe(429);
  release();
  for (const answer of await Promise.all(waiting)) expect([200, 503]).toContain(answer.status);
  expect((await send([city(1)])).status).toBe(202);
}, 30_000);

test('an applied request hears only of its own rejections, also beside others and after one that gave up', async () => {
  hold();
  const gone = new AbortController();
  const given = fetch(`${world.server.url}/api/v1/changes?ack=applied`, {
    method: 'POST',
    body: JSON.stringify([{ ...city(77), op: 'update' }]),
    headers: { ...JSON_TYPE, authorization: 'Bearer shop.secret' },
    signal: gone.signal,
  });
  await expect.poll(() => world.door.status().usedBytes).toBeGreaterThan(0);
  gone.abort();
  await expect(given).rejects.toThrow();
  release();
  const answers = await Promise.all([
    send([{ ...city(70), op: 'update' }, city(1)], {}, 'applied'),
    send([city(2), city(3), { ...city(71), op: 'update' }], {}, 'applied'),
    send([city(4)], {}, 'applied'),
  ]);
  expect(answers.map(({ body }) => (body['rejections'] as { index: number }[]).map(({ index }) => index))).toEqual([[0], [2], []]);
});

test('a request with an Idempotency-Key makes the frames that it made in every version before', async () => {
  await using large = await createHttpWorld({ web: { maxBodyBytes: 2 << 20 } });
  const changes = Array.from({ length: 12_000 }, (_, id) => ({ table: 'cities', row: { id, name: `city number ${id}`, size: null } }));
  const headers = { ...JSON_TYPE, 'idempotency-key': 'frames-for-ever' };
  expect((await large.send('/api/v1/changes', JSON.stringify(changes), headers)).status).toBe(202);
  const places: string[] = [];
  for (let partition = 0; partition < large.queue.partitionCount; partition++)
    for (const [stream, { seq, crc }] of await large.queue.streams(partition)) places.push(`${stream} ${seq} ${crc.toString(16)}`);
  // Never adapt these: after an upgrade, a repetition would be refused as another body.
  expect(places).toEqual(['1af0f82e', 'd767462e', '1c9b8851', '5327d8cf'].map((crc) => `4854545094d1406541a94ec4edf32b2d 2 ${crc}`));
});

test('what one request waits for in vain, the next ones do not wait for', async () => {
  world.heldPartition = 0;
  hold();
  const [stuck, free] = [0, 1].map((partition) => [1, 2, 3, 4, 5, 6, 7, 8, 9].find((id) => partitionOf('cities', [id], 4) === partition)!);
  const gone = new AbortController();
  const given = fetch(`${world.server.url}/api/v1/changes?ack=applied`, {
    method: 'POST',
    body: JSON.stringify([city(stuck!)]),
    headers: { ...JSON_TYPE, authorization: 'Bearer shop.secret' },
    signal: gone.signal,
  });
  await expect.poll(async () => (await world.queue.streams(0)).size).toBe(1);
  gone.abort();
  await expect(given).rejects.toThrow();
  for (let i = 0; i < 3; i++) expect((await send([city(free!)], {}, 'applied')).status).toBe(200);
  release();
  await expect.poll(() => world.store.read('cities')).toHaveLength(2);
});

test('batches are cut by the server, so a limit of changes in a batch refuses none of them', async () => {
  await using strict = await createHttpWorld({ maxBatchChanges: 10 });
  const changes = Array.from({ length: 200 }, (_, id) => city(id));
  const answer = await strict.send('/api/v1/changes?ack=applied', JSON.stringify(changes), JSON_TYPE);
  expect([answer.status, answer.body]).toMatchObject([200, { applied: 200, rejected: 0 }]);
});

test.each([
  [
    'NDJSON, with what was taken before',
    LINES,
    [`${JSON.stringify(city(1))}\n`, `${JSON.stringify(city(2))}\n`],
    { taken: 1 },
    () => world.store.read('cities').length,
  ],
  ['a whole body', JSON_TYPE, ['[', `${JSON.stringify(city(1))}]`], {}, () => world.door.status().usedBytes],
])('a token that is taken away ends a request that is still coming: %s', async (_name, headers, [first, second], body, arrived) => {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const writer = writable.getWriter();
  const answered = world.send('/api/v1/changes', readable, headers);
  await writer.write(Buffer.from(first!));
  await expect.poll(arrived).toBeGreaterThan(0);
  world.node.useAuthenticator(createAuthenticator({ producers: [{ name: 'blog', tokens: [hashToken('blog.secret')] }] }));
  await writer.write(Buffer.from(second!));
  await writer.close().catch(() => {});
  expect(await answered).toMatchObject({ status: 401, body: { code: 'auth_failed', ...body } });
  expect((await world.send('/api/v1/changes', JSON.stringify([city(3)]), JSON_TYPE)).status).toBe(401);
});

test('one producer has 64 streams at most, and others find theirs', { timeout: 30_000 }, async () => {
  world.heldPartition = 0;
  hold();
  const [stuck, free] = [0, 1].map((partition) => [1, 2, 3, 4, 5, 6, 7, 8, 9].find((id) => partitionOf('cities', [id], 4) === partition)!);
  const waiting = Array.from({ length: 64 }, () => send([city(stuck!)], {}, 'applied'));
  await expect.poll(() => world.door.status().streams, { timeout: 10_000 }).toBe(64);
  expect(await send([city(free!)], {}, 'applied')).toMatchObject({ status: 503, body: { code: 'buffer_full' } });
  expect((await send([city(free!)], { authorization: 'Bearer blog.secret' }, 'applied')).status).toBe(200);
  release();
  for (const { status } of await Promise.all(waiting)) expect(status).toBe(200);
});

test('a request of lines has no stream before its first change', async () => {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const writer = writable.getWriter();
  const answered = world.send('/api/v1/changes?ack=applied', readable, LINES);
  await writer.write(Buffer.from('\n\n \n'));
  expect((await send([city(1)])).status).toBe(202);
  expect(world.door.status().streams).toBe(1);
  await writer.write(Buffer.from(`${JSON.stringify(city(2))}\nno JSON\n`));
  await writer.close().catch(() => {});
  expect(await answered).toMatchObject({ status: 400, body: { line: 5, taken: 1 } });
  const empty = await world.send('/api/v1/changes?ack=applied', '\n', LINES);
  expect([empty.status, empty.body]).toMatchObject([200, { changes: 0, applied: 0 }]);
});
