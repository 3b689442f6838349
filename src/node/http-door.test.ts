import { gzipSync, zstdCompressSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createHttpWorld, TOKEN, type HttpWorld } from '../../test/support/http-world.ts';

let world: HttpWorld;
beforeEach(async () => {
  world = await createHttpWorld();
});
afterEach(() => world[Symbol.asyncDispose]());

const JSON_TYPE = { 'content-type': 'application/json' };
const LINES = { 'content-type': 'application/x-ndjson' };
const city = (id: number, name = `city ${id}`) => ({ table: 'cities', row: { id, name } });

describe('POST /api/v1/changes', () => {
  test('takes one change, and says that it is applied', async () => {
    const { status, body, headers } = await world.send('/api/v1/changes?ack=applied', JSON.stringify(city(1)), JSON_TYPE);
    expect([status, body]).toEqual([200, { ack: 'applied', changes: 1, applied: 1, rejected: 0, rejections: [] }]);
    expect(headers.get('content-type')).toBe('application/json');
    expect(world.store.read('cities')).toMatchObject([{ id: 1, name: 'city 1' }]);
  });

  test('takes an array in its order, and says that it is stored', async () => {
    const changes = [
      city(1),
      { table: 'cities', op: 'insert', row: { id: 2, name: 'Oslo' } },
      { table: 'cities', op: 'update', key: { id: 2 }, row: { name: 'Rome' } },
      { table: 'cities', op: 'delete', key: { id: 1 } },
      { table: 'seats', op: 'upsert', key: ['seat', 'hall'], row: { hall: 1, seat: 'F12', guest: 'Ada' } },
    ];
    const { status, body } = await world.send('/api/v1/changes', JSON.stringify(changes), JSON_TYPE);
    expect([status, body]).toEqual([202, { ack: 'stored', changes: 5 }]);
    await expect.poll(() => world.store.read('seats')).toMatchObject([{ hall: 1, seat: 'F12', guest: 'Ada' }]);
    await expect.poll(() => world.store.read('cities')).toMatchObject([{ id: 2, name: 'Rome' }]);
  });

  test('takes NDJSON as a stream, with blank lines, CRLF and no line break at the end', async () => {
    const text = `\uFEFF${JSON.stringify(city(1))}\r\n\r\n${JSON.stringify(city(2))}\n   \n${JSON.stringify(city(3))}`;
    const bytes = Buffer.from(text);
    const body = new ReadableStream({
      start: (controller) => {
        for (let i = 0; i < bytes.length; i += 7) controller.enqueue(bytes.subarray(i, i + 7));
        controller.close();
      },
    });
    const answer = await world.send('/api/v1/changes?ack=applied', body, LINES);
    expect([answer.status, answer.body['changes']]).toEqual([200, 3]);
    expect(world.store.read('cities')).toHaveLength(3);
  });

  test('lists what the database refused, by its place in the request', async () => {
    const changes = Array.from({ length: 50 }, (_, id) => (id % 10 === 7 ? { ...city(1000 + id), op: 'update' } : city(id)));
    for (const [type, body] of [
      [JSON_TYPE, JSON.stringify(changes)],
      [LINES, changes.map((change) => JSON.stringify(change)).join('\n')],
      [{ ...LINES, 'idempotency-key': 'a key of mine'.replaceAll(' ', '-') }, changes.map((change) => JSON.stringify(change)).join('\n')],
    ] as const) {
      const answer = await world.send('/api/v1/changes?ack=applied', body, type);
      expect(answer.status).toBe(200);
      expect(answer.body).toMatchObject({ changes: 50, applied: 45, rejected: 5 });
      const rejections = answer.body['rejections'] as { index: number; code: string }[];
      expect(rejections.map(({ index, code }) => [index, code])).toEqual([7, 17, 27, 37, 47].map((index) => [index, 'row_missing']));
    }
  });

  test.each([
    ['gzip', gzipSync],
    ['zstd', zstdCompressSync],
  ])('takes %s', async (encoding, compress) => {
    const body = Uint8Array.from(compress(Buffer.from(JSON.stringify([city(1), city(2)]))));
    const answer = await world.send('/api/v1/changes?ack=applied', body, { ...JSON_TYPE, 'content-encoding': encoding });
    expect([answer.status, answer.body['applied']]).toEqual([200, 2]);
  });

  test('a table that the server does not know needs a key, and then it knows it', async () => {
    const change = { table: 'notes', row: { id: 1, text: 'x' } };
    const refused = await world.send('/api/v1/changes?ack=applied', JSON.stringify([city(1), change]), JSON_TYPE);
    expect([refused.status, refused.body['code'], refused.body['row']]).toEqual([422, 'bad_change', 1]);
    expect(world.store.read('cities')).toEqual([]);
    const keyed = await world.send('/api/v1/changes?ack=applied', JSON.stringify({ ...change, key: ['id'] }), JSON_TYPE);
    expect(keyed.body).toMatchObject({ applied: 1 });
    for (const type of [JSON_TYPE, LINES]) {
      const known = await world.send('/api/v1/changes?ack=applied', JSON.stringify({ ...change, op: 'update' }), type);
      expect(known.body).toMatchObject({ applied: 1 });
    }
  });

  test('numbers keep their digits', async () => {
    const text = '{"table":"cities","row":{"id":9007199254740993,"name":"x","size":123456789012.3456789012}}';
    await world.send('/api/v1/changes?ack=applied', text, LINES);
    expect(world.store.read('cities')).toMatchObject([{ id: 9007199254740993n, size: '123456789012.3456789012' }]);
  });

  test('requests of many callers are one stream for each producer, and streams are used again', async () => {
    const requests = Array.from({ length: 40 }, (_, id) => world.send('/api/v1/changes', JSON.stringify(city(id)), JSON_TYPE));
    for (const { status } of await Promise.all(requests)) expect(status).toBe(202);
    for (let id = 0; id < 5; id++) await world.send('/api/v1/changes?ack=applied', JSON.stringify(city(id)), JSON_TYPE);
    await expect.poll(() => world.store.streams.size).toBe(2);
    expect(world.store.read('cities')).toHaveLength(40);
  });
});

describe('Idempotency-Key', () => {
  const KEY = { 'idempotency-key': 'order-4711-created' };
  const inserts = [1, 2, 3].map((id) => ({ ...city(id), op: 'insert' }));
  const body = JSON.stringify(inserts);

  test('makes a repetition harmless, and its answer the same', async () => {
    const first = await world.send('/api/v1/changes?ack=applied', body, { ...JSON_TYPE, ...KEY });
    const second = await world.send('/api/v1/changes?ack=applied', body, { ...JSON_TYPE, ...KEY });
    const stored = await world.send('/api/v1/changes', body, { ...JSON_TYPE, ...KEY });
    expect([first.status, first.body['applied'], second.body]).toEqual([200, 3, first.body]);
    expect([stored.status, stored.body]).toEqual([202, { ack: 'stored', changes: 3 }]);
    await expect.poll(() => world.node.sessions.size).toBe(0);
  });

  test('survives the loss of the queue', async () => {
    await world.send('/api/v1/changes?ack=applied', body, { ...JSON_TYPE, ...KEY });
    world.queue.wipe();
    const again = await world.send('/api/v1/changes?ack=applied', body, { ...JSON_TYPE, ...KEY });
    expect(again.body).toMatchObject({ applied: 3, rejected: 0 });
  });

  test.each([
    ['other rows', [{ ...city(1, 'Oslo'), op: 'insert' }]],
    ['fewer rows', inserts.slice(0, 1)],
    ['more rows', [...inserts, city(4), city(5), city(6), city(7)]],
    ['rows of other partitions', [city(11), city(12)]],
  ])('refuses another body under the same key: %s', async (_name, other) => {
    await world.send('/api/v1/changes?ack=applied', body, { ...JSON_TYPE, ...KEY });
    const before = world.store.read('cities');
    for (const ack of ['stored', 'applied']) {
      const refused = await world.send(`/api/v1/changes?ack=${ack}`, JSON.stringify(other), { ...JSON_TYPE, ...KEY });
      expect([refused.status, refused.body['code']]).toEqual([422, 'seq_content_mismatch']);
    }
    expect(world.store.read('cities')).toEqual(before);
    const again = await world.send('/api/v1/changes?ack=applied', body, { ...JSON_TYPE, ...KEY });
    expect(again.body).toMatchObject({ applied: 3 });
  });

  test('is the producer’s own', async () => {
    await world.send('/api/v1/changes?ack=applied', body, { ...JSON_TYPE, ...KEY });
    const other = await world.send('/api/v1/changes?ack=applied', JSON.stringify(city(9)), {
      ...JSON_TYPE,
      ...KEY,
      authorization: 'Bearer blog.secret',
    });
    expect(other.body).toMatchObject({ applied: 1 });
  });

  test('of requests at the same time one is taken, and the others repeat it', async () => {
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => world.send('/api/v1/changes?ack=applied', body, { ...JSON_TYPE, ...KEY })),
    );
    for (const answer of answers) expect([answer.status, answer.body['applied'], answer.body['rejected']]).toEqual([200, 3, 0]);
  });

  test('with a change that cannot be sent nothing is taken', async () => {
    const bad = await world.send(
      '/api/v1/changes',
      `${JSON.stringify(city(1))}\n${JSON.stringify({ table: 'cities', row: { name: 'x' } })}`,
      {
        ...LINES,
        ...KEY,
      },
    );
    expect([bad.status, bad.body]).toMatchObject([422, { code: 'bad_change', row: 1, line: 2, column: 'id' }]);
    const good = await world.send('/api/v1/changes?ack=applied', body, { ...JSON_TYPE, ...KEY });
    expect(good.body).toMatchObject({ applied: 3 });
    expect(world.store.read('cities')).toHaveLength(3);
  });
});

describe('POST /api/v1/sync-data', () => {
  test('takes the actions that PHP sites post', async () => {
    const changes = [
      { action: 'create', table_name: 'cities', data: { id: 1, name: 'Oslo' } },
      { action: 'create', table_name: 'cities', data: { id: 2, name: 'Rome' } },
      { action: 'update', table_name: 'cities', data: { id: 1, name: 'Bergen' } },
      { action: 'delete', table_name: 'cities', data: { id: 2, name: 'whatever' } },
    ];
    const { status, body } = await world.send('/api/v1/sync-data?ack=applied', JSON.stringify(changes), JSON_TYPE);
    expect([status, body['applied']]).toEqual([200, 4]);
    expect(world.store.read('cities')).toMatchObject([{ id: 1, name: 'Bergen' }]);
  });

  test('takes forms, whose values are text', async () => {
    const form = { 'content-type': 'application/x-www-form-urlencoded' };
    const answer = await world.send(
      '/api/v1/sync-data?ack=applied',
      'action=create&table_name=seats&data%5Bhall%5D=1&data[seat]=F12&data[guest]=Ada+L',
      form,
    );
    expect([answer.status, answer.body['applied']]).toEqual([200, 1]);
    expect(world.store.read('seats')).toMatchObject([{ hall: '1', seat: 'F12', guest: 'Ada L' }]);
  });
});

test('memory that all requests share is given back', async () => {
  const { server } = world;
  const send = (body: string, headers: object) =>
    fetch(`${server.url}/api/v1/changes`, { method: 'POST', body, headers: { authorization: `Bearer ${TOKEN}`, ...headers } });
  await send(JSON.stringify([city(1)]), JSON_TYPE);
  await send('{'.repeat(200_000), LINES);
  await send(`{"a": ${'"x"'.repeat(100)}`, JSON_TYPE);
  await expect.poll(() => world.door.status().usedBytes).toBe(0);
});
