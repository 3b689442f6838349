import { connect } from 'node:net';
import { once } from 'node:events';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { arbitraryJsonRow } from '../../../test/support/arbitrary-json.ts';
import { createHttpWorld, TOKEN, type Answer, type Body, type HttpWorld } from '../../../test/support/http-world.ts';
import { ERRORS } from '../../core/errors.ts';
import { routes } from './http-api.ts';

const ORIGIN = 'https://shop.example';
const MAX_BODY_BYTES = 64 * 1024;
const JSON_TYPE = { 'content-type': 'application/json' };
const LINES = { 'content-type': 'application/x-ndjson' };
const FORM = { 'content-type': 'application/x-www-form-urlencoded' };
const CHANGES = '/api/v1/changes';
const SYNC_DATA = '/api/v1/sync-data';
/** May upsert the names of cities. */
const GUEST = 'Bearer guest.secret';
const good = (id: number) => ({ table: 'cities', row: { id, name: 'Oslo' } });

let world: HttpWorld;
/** Every answer, for the comparison with the description of the API. */
const answers: { readonly path: string; readonly method: string; readonly answer: Answer }[] = [];
beforeAll(async () => {
  world = await createHttpWorld({ web: { maxBodyBytes: MAX_BODY_BYTES, origins: [ORIGIN] } });
});
afterAll(() => world[Symbol.asyncDispose]());

async function send(path: string, body: Body, headers: Record<string, string> = {}, method = 'POST'): Promise<Answer> {
  const answer = await world.send(path, body, headers, method);
  answers.push({ path: path.split('?')[0]!, method, answer });
  return answer;
}

const bytes = (data: Uint8Array): Uint8Array<ArrayBuffer> => Uint8Array.from(data);

interface BadRequest {
  readonly is: string;
  readonly status: number;
  readonly code?: string;
  readonly path?: string;
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: Body | (() => Body);
  readonly says?: string | RegExp;
  readonly where?: object;
}

const BAD: readonly BadRequest[] = [
  { is: 'an unknown path', status: 404, path: '/api/v2/changes' },
  { is: 'another method', status: 405, method: 'PUT', headers: JSON_TYPE, body: '{}' },
  { is: 'a preflight of nobody', status: 405, method: 'OPTIONS', body: null },
  { is: 'a wrong token', status: 401, code: 'auth_failed', headers: { authorization: 'Bearer wrong' }, body: '{}' },
  { is: 'no token', status: 401, code: 'auth_failed', headers: { authorization: '' }, body: '{}' },
  { is: 'another scheme', status: 401, code: 'auth_failed', headers: { authorization: `Basic ${TOKEN}` }, body: '{}' },
  {
    is: 'a page of another origin',
    status: 403,
    code: 'origin_refused',
    headers: { ...JSON_TYPE, origin: 'https://evil.example' },
    body: '{}',
  },
  {
    is: 'a table of others',
    status: 403,
    code: 'not_allowed',
    headers: { ...JSON_TYPE, authorization: GUEST },
    body: JSON.stringify([good(1), { table: 'seats', row: { hall: 1, seat: 1 } }]),
    says: /may not upsert table "seats"/,
    where: { row: 1 },
  },
  {
    is: 'an operation that is not allowed',
    status: 403,
    code: 'not_allowed',
    headers: { ...LINES, authorization: GUEST },
    body: `${JSON.stringify({ table: 'cities', op: 'delete', row: { id: 1 } })}\n`,
    says: /may not delete/,
    where: { row: 0, line: 1, taken: 0 },
  },
  { is: 'an unknown ack', status: 400, path: `${CHANGES}?ack=maybe`, headers: JSON_TYPE, body: '[]' },
  { is: 'a misspelt parameter', status: 400, path: `${CHANGES}?ak=applied`, headers: JSON_TYPE, body: '[]' },
  { is: 'a short key', status: 400, headers: { ...JSON_TYPE, 'idempotency-key': '1234567' }, body: '[]', says: /8 to 200/ },
  { is: 'a long key', status: 400, headers: { ...JSON_TYPE, 'idempotency-key': 'k'.repeat(201) }, body: '[]' },
  { is: 'a key with a blank', status: 400, headers: { ...JSON_TYPE, 'idempotency-key': 'one two three' }, body: '[]' },
  { is: 'XML', status: 415, headers: { 'content-type': 'text/xml' }, body: '<a/>', says: /application\/json, application\/x-ndjson/ },
  { is: 'a form of changes', status: 415, headers: FORM, body: 'a=1' },
  { is: 'another charset', status: 415, headers: { 'content-type': 'application/json; charset=latin1' }, body: '[]' },
  { is: 'another encoding', status: 415, headers: { ...JSON_TYPE, 'content-encoding': 'br' }, body: '[]', says: /gzip, zstd/ },
  { is: 'a body that is too large', status: 413, code: 'body_too_large', headers: JSON_TYPE, body: `[${' '.repeat(MAX_BODY_BYTES)}]` },
  {
    is: 'a body that expands too far',
    status: 413,
    headers: { ...JSON_TYPE, 'content-encoding': 'gzip' },
    body: () => bytes(gzipSync(Buffer.alloc(MAX_BODY_BYTES * 2, ' '))),
  },
  {
    is: 'a gzip bomb of short lines',
    status: 413,
    headers: { ...LINES, 'content-encoding': 'gzip' },
    body: () => bytes(gzipSync(Buffer.alloc(8 << 20, '\n'))),
    says: /250 times/,
  },
  {
    is: 'a zstd bomb of short lines',
    status: 413,
    headers: { ...LINES, 'content-encoding': 'zstd' },
    body: () => bytes(zstdCompressSync(Buffer.alloc(8 << 20, '\n'))),
  },
  { is: 'a line that is too long', status: 413, headers: LINES, body: 'x'.repeat(MAX_BODY_BYTES + 1), where: { taken: 0 } },
  { is: 'no gzip', status: 400, headers: { ...JSON_TYPE, 'content-encoding': 'gzip' }, body: '[]', says: 'not valid gzip' },
  {
    is: 'half of a gzip',
    status: 400,
    headers: { ...JSON_TYPE, 'content-encoding': 'gzip' },
    body: () => bytes(gzipSync('[1,2,3]').subarray(0, 15)),
  },
  { is: 'no zstd', status: 400, headers: { ...JSON_TYPE, 'content-encoding': 'zstd' }, body: '[]', says: 'not valid zstd' },
  {
    is: 'half of a zstd',
    status: 400,
    headers: { ...JSON_TYPE, 'content-encoding': 'zstd' },
    body: () => bytes(zstdCompressSync('[1,2,3]').subarray(0, 12)),
  },
  { is: 'an empty body', status: 400, headers: JSON_TYPE, body: ' ', says: 'not valid JSON' },
  {
    is: 'malformed JSON',
    status: 400,
    headers: JSON_TYPE,
    body: '[\n{"table":"cities"},\n{"row" 1}]',
    where: { line: 3 },
    says: 'line 3, character 8',
  },
  { is: 'JSON that ends early', status: 400, headers: JSON_TYPE, body: '[{"table":"cities"}', where: { line: 1 } },
  {
    is: 'a malformed line',
    status: 400,
    headers: LINES,
    body: `${JSON.stringify(good(1))}\n\n{"table":\n`,
    where: { line: 3, row: 1, taken: 1 },
  },
  { is: 'a line that is no UTF-8', status: 400, headers: LINES, body: bytes(Buffer.from('"\xff"\n', 'latin1')), says: 'UTF-8' },
  { is: 'JSON that is no UTF-8', status: 400, headers: JSON_TYPE, body: bytes(Buffer.from('"\xff"', 'latin1')), says: 'UTF-8' },
  {
    is: 'JSON that nests without end',
    status: 422,
    headers: JSON_TYPE,
    body: `{"table":"cities","row":{"id":1,"name":${'['.repeat(20_000)}${']'.repeat(20_000)}}}`,
    says: /too deep/,
  },
  {
    is: 'long numbers that nest without end',
    status: 400,
    headers: LINES,
    body: `${'['.repeat(25_000)}12345678901234567890${']'.repeat(25_000)}`,
    says: /too deep/,
  },
  {
    is: 'a form that nests without end',
    status: 400,
    path: SYNC_DATA,
    headers: FORM,
    body: `data${'[a]'.repeat(50)}=1`,
    says: /nests deeper/,
  },
  { is: 'a form with wild brackets', status: 400, path: SYNC_DATA, headers: FORM, body: 'data[a]b]=1' },
  { is: 'a change that is a number', status: 422, code: 'bad_change', headers: JSON_TYPE, body: '[1]', where: { row: 0 } },
  { is: 'a change without a table', status: 422, headers: JSON_TYPE, body: '{"row":{"id":1}}', says: /names no table/ },
  { is: 'a change without a row', status: 422, headers: JSON_TYPE, body: '{"table":"cities"}', says: /has no row/ },
  {
    is: 'another op',
    status: 422,
    headers: JSON_TYPE,
    body: '{"table":"cities","op":"merge","row":{"id":1}}',
    says: /none of upsert, insert, update, delete/,
  },
  {
    is: 'an op of Object',
    status: 422,
    path: SYNC_DATA,
    headers: JSON_TYPE,
    body: '{"action":"constructor","table_name":"cities","data":{"id":1}}',
  },
  { is: 'a field too many', status: 422, headers: JSON_TYPE, body: '{"table":"cities","row":{"id":1},"rows":[]}', says: '"rows" beside' },
  { is: 'a row that is a list', status: 422, headers: JSON_TYPE, body: '{"table":"cities","row":[1]}' },
  { is: 'a key that is a text', status: 422, headers: JSON_TYPE, body: '{"table":"cities","row":{"id":1},"key":"id"}' },
  { is: 'a key that names a column twice', status: 422, headers: JSON_TYPE, body: '{"table":"cities","row":{"id":1},"key":["id","id"]}' },
  {
    is: 'a key that says something else than the row',
    status: 422,
    headers: JSON_TYPE,
    body: '{"table":"cities","op":"update","key":{"id":1},"row":{"id":2}}',
    says: /delete and insert/,
  },
  {
    is: 'a row without its key',
    status: 422,
    headers: LINES,
    body: '{"table":"cities","row":{"name":"x"}}',
    where: { row: 0, line: 1, column: 'id', taken: 0 },
  },
  { is: 'a key of null', status: 422, headers: JSON_TYPE, body: '{"table":"cities","row":{"id":null}}', where: { row: 0, column: 'id' } },
  {
    is: 'a lone surrogate',
    status: 422,
    headers: JSON_TYPE,
    body: '{"table":"cities","row":{"id":1,"name":"\\ud800"}}',
    where: { row: 0, column: 'name' },
  },
  {
    is: '__proto__ within a value',
    status: 422,
    headers: JSON_TYPE,
    body: '{"table":"cities","row":{"id":1,"name":{"__proto__":{"a":1}}}}',
    says: '__proto__',
    where: { column: 'name' },
  },
  {
    is: 'a table that is too long',
    status: 422,
    headers: JSON_TYPE,
    body: JSON.stringify({ table: 't'.repeat(10_000), key: ['id'], row: { id: 1 } }),
    says: /10000 bytes/,
  },
  { is: 'an update of nothing', status: 422, headers: JSON_TYPE, body: '{"table":"cities","op":"update","row":{"id":1}}' },
];

describe('a request is refused that is or has', () => {
  test.each(BAD)('$is: $status', async ({ status, code, path = CHANGES, method = 'POST', headers, body = null, says, where }) => {
    const before = structuredClone(world.store.read('cities').filter(({ name }) => name !== 'Oslo'));
    const answer = await send(path, typeof body === 'function' ? body() : body, headers, method);
    expect([answer.status, answer.body]).toMatchObject([status, { status, ...(code === undefined ? {} : { code }), ...where }]);
    expect(answer.headers.get('content-type')).toBe('application/problem+json');
    expect(Object.keys(ERRORS)).toContain(answer.body['code']);
    if (says !== undefined) expect(answer.body['detail']).toMatch(says);
    if (status === 401) expect(answer.headers.get('www-authenticate')).toMatch(/^Bearer realm="syncline"/);
    if (status === 405) expect(answer.headers.get('allow')).toBe('POST');
    expect(String(answer.body['detail']).length).toBeLessThan(500);
    expect(world.store.read('cities').filter(({ name }) => name !== 'Oslo')).toEqual(before);
  });

  test('no length', async () => {
    const socket = connect(world.server.port, '127.0.0.1');
    socket.write(`POST ${CHANGES} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${TOKEN}\r\n\r\n`);
    const [answer] = (await once(socket, 'data')) as [Buffer];
    socket.destroy();
    expect(answer.toString()).toMatch(/^HTTP\/1.1 411 /);
  });
});

describe('a browser', () => {
  test('may send from a page of an origin that is listed', async () => {
    const preflight = await fetch(`${world.server.url}${CHANGES}`, { method: 'OPTIONS', headers: { origin: ORIGIN } });
    expect([preflight.status, preflight.headers.get('access-control-allow-origin')]).toEqual([204, ORIGIN]);
    expect(preflight.headers.get('access-control-allow-headers')).toContain('idempotency-key');
    const answer = await send(CHANGES, JSON.stringify(good(1)), { ...JSON_TYPE, origin: ORIGIN });
    expect([answer.status, answer.headers.get('access-control-allow-origin'), answer.headers.get('vary')]).toEqual([202, ORIGIN, 'Origin']);
  });

  test('gets no leave for another origin', async () => {
    const preflight = await fetch(`${world.server.url}${CHANGES}`, { method: 'OPTIONS', headers: { origin: 'https://evil.example' } });
    expect([preflight.status, preflight.headers.get('access-control-allow-origin')]).toEqual([405, null]);
  });
});

describe('names that are meant to harm', () => {
  test.each(['__proto__', 'constructor', 'prototype', 'toString', 'a\u0000b', "'; DROP TABLE cities; --", 'ü'.repeat(100)])(
    'a table and a column called %j are a table and a column',
    async (name) => {
      const text = `{"table":${JSON.stringify(name)},"key":["id"],"row":{"id":1,${JSON.stringify(name)}:"v"}}`;
      for (const type of [JSON_TYPE, LINES]) {
        const answer = await send(`${CHANGES}?ack=applied`, text, type);
        expect([answer.status, answer.body['applied']]).toEqual([200, 1]);
      }
      const [row] = world.store.read(name);
      expect(Object.entries(row!)).toEqual([
        ['id', 1],
        [name, 'v'],
      ]);
      expect(({} as Record<string, unknown>)['v']).toBeUndefined();
    },
  );

  test('of keys that come twice the last one counts', async () => {
    await send(`${CHANGES}?ack=applied`, '{"table":"nothing","table":"cities","row":{"id":5,"name":"x","name":"y"}}', JSON_TYPE);
    expect(world.store.read('cities')).toContainEqual({ id: 5, name: 'y', size: null });
  });
});

test('any row of JSON comes out of the database as it was sent, by every way in', async () => {
  let id = 100;
  await fc.assert(
    fc.asyncProperty(fc.array(arbitraryJsonRow(), { minLength: 1, maxLength: 8 }), fc.nat(2), async (rows, way) => {
      const sent = rows.map((row) => ({ ...row, id: id++ }));
      const changes = sent.map((row) => ({ table: 'anything', key: ['id'], row }));
      const [body, headers] =
        way === 0
          ? [JSON.stringify(changes), JSON_TYPE]
          : [
              changes.map((change) => JSON.stringify(change)).join('\n'),
              way === 1 ? LINES : { ...LINES, 'idempotency-key': `rows-${id}-${way}` },
            ];
      const answer = await send(`${CHANGES}?ack=applied`, body, headers);
      expect(answer.body).toMatchObject({ applied: sent.length });
      const there = new Map(world.store.read('anything').map((row) => [row['id'], row]));
      for (const row of sent) for (const [column, value] of Object.entries(row)) expect(there.get(row.id)?.[column]).toEqual(value);
    }),
    { numRuns: 60 },
  );
});

describe('the description of the API', () => {
  interface Described {
    readonly paths: Record<
      string,
      Record<string, { readonly responses: Record<string, { readonly content: Record<string, { readonly schema: object }> }> }>
    >;
    readonly components: { readonly schemas: object };
  }

  async function described(): Promise<Described> {
    return (await send('/api/v1/openapi.json', null, {}, 'GET')).body as unknown as Described;
  }

  test('has exactly the paths and methods that are answered', async () => {
    const { paths } = await described();
    const named = Object.entries(paths).flatMap(([path, methods]) => Object.keys(methods).map((method) => [path, method.toUpperCase()]));
    expect(named).toEqual(routes());
  });

  test('is pointed to', async () => {
    expect(await send('/api/v1', null, {}, 'GET')).toMatchObject({ status: 200, body: { openapi: '/api/v1/openapi.json' } });
  });

  test('fits every answer that was given here', async () => {
    const { paths, components } = await described();
    expect(answers.length).toBeGreaterThan(60);
    for (const { path, method, answer } of answers) {
      const operation = paths[path]?.[method.toLowerCase()] ?? paths[CHANGES]!['post']!;
      if (paths[path] === undefined) continue; // 404 is what has no description
      const content = operation.responses[answer.status]?.content ?? {};
      const schema = content[answer.headers.get('content-type')!]?.schema;
      expect(schema, `${method} ${path} ${answer.status}`).toBeDefined();
      const inlined = JSON.parse(
        JSON.stringify({ ...schema, $defs: components.schemas }).replaceAll('#/components/schemas/', '#/$defs/'),
      ) as z.core.JSONSchema.JSONSchema;
      expect(z.fromJSONSchema(inlined).safeParse(answer.body).error?.issues, JSON.stringify(answer.body)).toBeUndefined();
    }
  });
});
