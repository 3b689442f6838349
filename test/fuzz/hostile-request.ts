import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { ERRORS } from '../../src/core/errors.ts';
import type { SeededRandom } from '../support/seeded-random.ts';
import { mutatePayload } from './mutations.ts';

/** What a request may be answered with, whatever it was; see `docs/http.md`. */
const STATUSES = new Set([200, 202, 204, 400, 401, 403, 404, 405, 408, 409, 411, 413, 414, 415, 417, 422, 426, 429, 431, 501, 503, 505]);
/** Longer than a request waits for what it asks to be applied. */
const ANSWER_MS = 45_000;
/** Requests that come to no end are ended by us after so long. */
const LEAVE_MS = 30;
const MAX_REQUESTS = 4;

/** Of few it is waited until they are applied: the database is under load. */
const APPLIED_OF_ALL = 0.03;
const PATHS = { changes: '/api/v1/changes', lines: '/api/v1/changes', form: '/api/v1/sync-data' } as const;
const OTHER_PATHS = [
  '/',
  '/ws',
  '/api/v1/openapi.json',
  '/api/v1',
  '//api/v1/changes',
  '/api/v1/changes?ack=both',
  '/api/v1/changes?x=%zz',
  '/%2e%2e/ws',
  '*',
  `/${'a'.repeat(9_000)}`,
];
const METHODS = ['GET', 'PUT', 'DELETE', 'OPTIONS', 'HEAD', 'TRACE', 'CONNECT', 'PATCH', 'post', 'P\u0000ST', 'X'.repeat(100)];
const TYPES = [
  'application/json',
  'application/x-ndjson',
  'application/x-www-form-urlencoded',
  'text/plain',
  'application/json; charset=utf-16',
  'multipart/form-data; boundary=x',
  '',
];
const HOSTILE_HEADERS: readonly string[] = [
  'Content-Length: 5',
  'Content-Length: -1',
  'Content-Length: 99999999999999999999',
  'Content-Length: 0x10',
  'Transfer-Encoding: chunked',
  'Transfer-Encoding: gzip, chunked',
  'Transfer-Encoding: identity',
  'Transfer-Encoding : chunked',
  'Content-Encoding: br',
  'Content-Encoding: gzip, gzip',
  'Expect: 100-continue',
  'Expect: 200-ok',
  'Upgrade: websocket\r\nConnection: Upgrade',
  'Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13',
  'Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings',
  'Origin: https://evil.example',
  'Origin: null',
  'Authorization: Bearer nobody.secret',
  `Authorization: Bearer ${'x'.repeat(600)}`,
  'Authorization: Basic Og==',
  'Idempotency-Key: short',
  `Idempotency-Key: ${'k'.repeat(300)}`,
  'Idempotency-Key: \u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9',
  'Host: ',
  'Host: a\r\nHost: b',
  'X-Forwarded-For: 1.2.3.4',
  ' folded: x',
  'no colon',
  'Cookie: a\u0000b',
  `X-Long: ${'y'.repeat(20_000)}`,
  Array.from({ length: 300 }, (_, i) => `X-${i}: ${i}`).join('\r\n'),
];
/** Tables that the audited ones are not: what is taken here becomes dead letters. */
const CHANGES: readonly unknown[] = [
  { table: 'cities', op: 'upsert', key: ['id'], row: { id: 1, name: 'Z\u00fcrich' } },
  { table: 'cities', key: ['id'], row: { id: 2, doc: { a: [1, -5, 2.5, 1e300], b: null } } },
  { table: 'orders', op: 'delete', key: ['id'], row: { id: 'x' } },
  { table: 'orders', op: 'update', key: ['id', 'at'], row: { id: 2 ** 53, at: '2026-01-01', total: '1.50' } },
];
const FORM = { action: 'create', table_name: 'cities', key: ['id'], data: { id: 3, name: 'Bern' } };
/** What readers of JSON trip over. */
const HOSTILE_BODIES: readonly string[] = [
  '',
  '[]',
  'null',
  '[null]',
  '"x"',
  '1e999',
  '{"table":"cities","row":{"__proto__":{"a":1}},"key":["__proto__"]}',
  '{"table":"__proto__","row":{"id":1},"key":["id"]}',
  '{"table":"constructor","row":{"constructor":1},"key":["constructor"]}',
  '{"table":"cities","table":"orders","row":{"id":1},"key":["id"]}',
  '['.repeat(50_000),
  `{"table":"cities","key":["id"],"row":{"id":1,"doc":${'['.repeat(5_000)}${']'.repeat(5_000)}}}`,
  '{"table":"cities","key":["id"],"row":{"id":123456789012345678901234567890}}',
  '{"table":"cities","key":["id"],"row":{"id":"\\ud800"}}',
  '{"table":"cities","key":["id"],"row":{"id":"\\u0000"}}',
  `{"table":"${'t'.repeat(10_000)}","key":["id"],"row":{"id":1}}`,
  `{"table":"cities","key":${JSON.stringify(Array.from({ length: 2_000 }, (_, i) => `k${i}`))},"row":{}}`,
  'action=create&table_name=cities&data[id]=4&data[name]=x',
  'action=create&table_name=cities&data[id][][][]=4&data=5',
  '&'.repeat(60_000),
  '\ufeff{"table":"cities","key":["id"],"row":{"id":5}}',
];

export interface RequestResult {
  readonly inputs: number;
  /** Answers that came. */
  readonly answers: number;
}

/** One connection with a few requests that are right, nearly right and wrong. Throws what the server did wrong. */
export async function hostileRequests(port: number, random: SeededRandom): Promise<RequestResult> {
  const socket = connect({ port, host: '127.0.0.1', localAddress: `127.0.2.${1 + random.below(8)}`, noDelay: true });
  // It is meant to be thrown out.
  socket.on('error', () => {});
  await once(socket, 'connect');
  const received: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => received.push(chunk));
  const inputs = 1 + random.below(MAX_REQUESTS);
  let isComplete = true;
  for (let i = 0; i < inputs && isComplete && socket.writable; i++) {
    const request = hostileRequest(random);
    isComplete = request.isComplete;
    await write(socket, request.bytes, random);
  }
  const heard = () => answersOf(Buffer.concat(received).toString('latin1'));
  // Whoever ends its half before it was answered is taken for gone.
  if (isComplete) await until(socket, () => heard().length >= inputs, 'did not answer a request');
  else await delay(LEAVE_MS);
  socket.end();
  await until(socket, () => false, 'did not close a connection that its client had ended');
  const answers = heard();
  for (const { status, code } of answers) {
    if (!STATUSES.has(status)) throw new Error(`a request was answered with ${status}${code === undefined ? '' : ` ${code}`}`);
    if (code !== undefined && !(code in ERRORS)) throw new Error(`a request was refused with ${code}, which is no code`);
  }
  return { inputs, answers: answers.length };
}

interface HostileRequest {
  readonly bytes: Buffer;
  /** Nothing was done to it that could make the server wait for more. */
  readonly isComplete: boolean;
}

/** What is wrong with a request; of some nothing is. */
const DAMAGES = [
  'none',
  'none',
  'none',
  'none',
  'text',
  'body',
  'type',
  'encoding',
  'header',
  'header',
  'target',
  'method',
  'version',
  'bytes',
  'bytes',
] as const;

function hostileRequest(random: SeededRandom): HostileRequest {
  const damage = random.pick(DAMAGES);
  const route = random.chance(0.2) ? 'form' : random.chance(0.4) ? 'lines' : 'changes';
  const good = goodBody(random, route);
  let body: Buffer = Buffer.from(damage === 'text' ? random.pick(HOSTILE_BODIES) : good.text);
  if (damage === 'body') body = mutatePayload(body, random, Buffer.from(random.pick(HOSTILE_BODIES)));
  const headers = ['Host: 127.0.0.1', `Content-Type: ${damage === 'type' ? random.pick(TYPES) : good.type}`];
  if (damage === 'encoding' || random.chance(0.2)) {
    const zstd = random.chance(0.5);
    body = zstd ? zstdCompressSync(body) : gzipSync(body);
    headers.push(`Content-Encoding: ${zstd ? 'zstd' : 'gzip'}`);
    if (damage === 'encoding') body = mutatePayload(body, random, body);
  }
  if (random.chance(0.2)) headers.push(`Idempotency-Key: key-${random.below(50)}-of-fuzz`);
  const chunked = random.chance(0.3);
  headers.push(chunked ? 'Transfer-Encoding: chunked' : `Content-Length: ${body.length}`);
  if (damage === 'header') headers.splice(random.below(headers.length + 1), 0, random.pick(HOSTILE_HEADERS));
  const target = damage === 'target' ? random.pick(OTHER_PATHS) : `${PATHS[route]}${random.chance(APPLIED_OF_ALL) ? '?ack=applied' : ''}`;
  const method = damage === 'method' ? random.pick(METHODS) : 'POST';
  const version = damage === 'version' ? random.pick(['HTTP/1.0', 'HTTP/2.0', 'HTTP/9', 'XTTP/1.1', '']) : 'HTTP/1.1';
  const head = Buffer.from(`${method} ${target} ${version}\r\n${headers.join('\r\n')}\r\n\r\n`, 'latin1');
  const bytes = Buffer.concat([head, chunked ? chunksOf(body, random) : body]);
  if (damage !== 'bytes') return { bytes, isComplete: damage !== 'header' };
  return { bytes: mutatePayload(bytes, random, head), isComplete: false };
}

function goodBody(random: SeededRandom, route: 'form' | 'lines' | 'changes'): { readonly text: string; readonly type: string } {
  const json = 'application/json';
  if (route === 'form') {
    if (random.chance(0.5))
      return { text: 'action=create&table_name=cities&data[id]=6&data[name]=Chur&key[]=id', type: 'application/x-www-form-urlencoded' };
    return { text: JSON.stringify(random.chance(0.5) ? FORM : [FORM, { ...FORM, action: random.pick(['update', 'delete']) }]), type: json };
  }
  const some = Array.from({ length: 1 + random.below(6) }, () => JSON.stringify(random.pick(CHANGES)));
  return route === 'lines' ? { text: some.join('\n'), type: 'application/x-ndjson' } : { text: `[${some.join(',')}]`, type: json };
}

function chunksOf(body: Buffer, random: SeededRandom): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < body.length;) {
    const part = body.subarray(at, at + 1 + random.below(body.length));
    parts.push(Buffer.from(`${part.length.toString(16)}${random.chance(0.05) ? ';x=y' : ''}\r\n`), part, Buffer.from('\r\n'));
    at += part.length;
  }
  return Buffer.concat([...parts, Buffer.from('0\r\n\r\n')]);
}

/** As a whole, or in pieces that arrive by themselves. */
async function write(socket: Socket, bytes: Buffer, random: SeededRandom): Promise<void> {
  if (!random.chance(0.2)) return void socket.write(bytes);
  for (let at = 0; at < bytes.length && socket.writable;) {
    const end = at + 1 + random.below(bytes.length);
    socket.write(bytes.subarray(at, end));
    at = end;
    await new Promise((resolve) => void setImmediate(resolve));
  }
}

/** Waits until the connection is closed, or what is waited for is there. */
async function until(socket: Socket, isThere: () => boolean, otherwise: string): Promise<void> {
  const sinceMs = performance.now();
  for (let polls = 0; !socket.closed && !isThere(); polls++) {
    if (performance.now() - sinceMs > ANSWER_MS) {
      socket.destroy();
      throw new Error(`the server ${otherwise} within ${ANSWER_MS} ms`);
    }
    await delay(polls < 10 ? 2 : 20);
  }
}

interface Answer {
  readonly status: number;
  /** Of a refusal. */
  readonly code: string | undefined;
}

/** Bodies are JSON without line breaks that look like a status line. */
function answersOf(text: string): readonly Answer[] {
  return text
    .split(/(?=HTTP\/1\.1 \d{3} )/)
    .filter((part) => part.startsWith('HTTP/1.1 '))
    .map((part) => ({
      status: Number(part.slice(9, 12)),
      code: part.includes('problem+json') ? /"code":"([^"]*)"/.exec(part)?.[1] : undefined,
    }))
    .filter(({ status }) => status >= 200);
}
