import { request } from 'node:http';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, describe, expect, test } from 'vitest';
import { sampleCluster, samplePartition, sampleState } from '../../test/support/sample-state.ts';
import { createAdmin, type Admin, type AdminOptions } from './admin.ts';
import { createLogger } from './log.ts';
import { createMetrics } from './metrics.ts';
import type { AdminState } from './state.ts';

const TOKEN = 'admin.secret';
/** What the admin server asked of the node. */
let asked: string[] = [];
const control = {
  drain: async () => void asked.push('drain'),
  resume: () => void asked.push('resume'),
};
let running: Admin | undefined;
afterEach(async () => {
  await running?.close();
  running = undefined;
  asked = [];
});

async function start(
  state: AdminState = sampleState(),
  options: Partial<AdminOptions['admin']> = {},
  health?: AdminOptions['health'],
): Promise<Admin> {
  const log = createLogger({ level: 'silent', format: 'json' });
  running = createAdmin({ admin: { host: '127.0.0.1', port: 0, ...options }, health }, state, control, createMetrics(state), log);
  await running.start();
  return running;
}

/** Asks with node:http, which lets a test choose any Host. */
async function ask(port: number, path: string, options: { method?: string; headers?: Record<string, string>; body?: string } = {}) {
  const { promise, resolve, reject } = Promise.withResolvers<{
    status: number | undefined;
    headers: Record<string, unknown>;
    body: string;
  }>();
  const outgoing = request(
    { host: '127.0.0.1', port, path, method: options.method ?? 'GET', headers: options.headers ?? {}, agent: false },
    (response) => {
      text(response).then((body) => resolve({ status: response.statusCode, headers: response.headers, body }), reject);
    },
  );
  outgoing.on('error', reject);
  outgoing.end(options.body);
  return promise;
}

const STOPPING = { ...sampleState().drain(), duty: 'stopping' } as const;

describe('health', () => {
  test('live answers as long as the process turns', async () => {
    const { address } = await start();
    expect(await ask(address.port, '/health/live')).toMatchObject({ status: 200, body: '{"status":"live"}\n' });
  });

  test('ready when the queue accepts and partitions make progress', async () => {
    const { address } = await start();
    expect(await ask(address.port, '/health/ready')).toMatchObject({ status: 200, body: '{"status":"ready"}\n' });
  });

  test.each<[string, Partial<AdminState>]>([
    ['the queue is held', { queue: () => ({ kind: 'redis', held: 'queue_full: secret detail', failure: undefined }) }],
    ['the last append failed', { queue: () => ({ kind: 'redis', held: undefined, failure: 'queue_unavailable: secret detail' }) }],
    [
      'a partition stands still',
      { partitions: () => [samplePartition({ state: 'retrying', detail: 'secret detail', batches: 1, stalledMs: 31_000 })] },
    ],
    [
      'the state cannot be told',
      {
        queue: () => {
          throw new Error('secret detail');
        },
      },
    ],
  ])('not ready while %s, and says no more than that', async (_, trouble) => {
    const { address } = await start({ ...sampleState(), ...trouble });
    expect(await ask(address.port, '/health/ready')).toMatchObject({ status: 503, body: '{"status":"not ready"}\n' });
  });

  test.each<[string, number, Partial<AdminState>]>([
    ['alone and ready', 200, {}],
    ['alone and not ready', 503, { queue: () => ({ kind: 'redis', held: 'queue_full: x', failure: undefined }) }],
    ['alone and stopping', 503, { drain: () => STOPPING }],
    ['the leader', 200, { cluster: () => sampleCluster({ primary: true }) }],
    // Nobody else applies.
    [
      'the leader, not ready',
      200,
      { cluster: () => sampleCluster({ primary: true }), queue: () => ({ kind: 'redis', held: 'x', failure: undefined }) },
    ],
    // Its successor does not lead yet.
    ['the leader, stopping', 200, { cluster: () => sampleCluster({ primary: true }), drain: () => STOPPING }],
    // It says itself for how long balancers are still to send clients to it.
    ['one of many, handing over', 200, { cluster: () => sampleCluster({ mode: 'active', primary: true }), drain: () => STOPPING }],
    [
      'one of many, handing over, not ready',
      503,
      {
        cluster: () => sampleCluster({ mode: 'active', primary: true }),
        drain: () => STOPPING,
        queue: () => ({ kind: 'redis', held: 'x', failure: undefined }),
      },
    ],
    ['one of many, stopping', 503, { cluster: () => sampleCluster({ mode: 'active', primary: false }), drain: () => STOPPING }],
    ['the standby', 503, { cluster: () => sampleCluster({ primary: false }) }],
    ['one of many', 200, { cluster: () => sampleCluster({ mode: 'active', primary: true }) }],
    [
      'one of many, not ready',
      503,
      { cluster: () => sampleCluster({ mode: 'active', primary: true }), queue: () => ({ kind: 'redis', held: 'x', failure: undefined }) },
    ],
  ])('of a node that is %s, primary answers %i', async (_, status, state) => {
    const { address } = await start({ ...sampleState(), ...state });
    expect((await ask(address.port, '/health/primary')).status).toBe(status);
  });

  test('a short standstill is no reason', async () => {
    const { address } = await start({ ...sampleState(), partitions: () => [samplePartition({ batches: 1, stalledMs: 29_000 })] });
    expect((await ask(address.port, '/health/ready')).status).toBe(200);
  });

  test('may be bound apart, and nothing else is served there', async () => {
    const admin = await start(sampleState(), { token: TOKEN }, { host: '0.0.0.0', port: 0 });
    const port = admin.healthAddress?.port ?? 0;
    expect((await ask(port, '/health/ready', { headers: { host: 'balancer.example' } })).status).toBe(200);
    for (const path of ['/metrics', '/api/v1/status', '/', '/health']) {
      expect((await ask(port, path, { headers: { authorization: `Bearer ${TOKEN}` } })).status).toBe(404);
    }
  });

  test('answers HTTP/1.0 without a Host, as balancers ask', async () => {
    const { address } = await start();
    expect(await exchange(address.port, 'GET /health/ready HTTP/1.0\r\n\r\n')).toContain('{"status":"ready"}');
  });
});

describe('what is guarded', () => {
  const guarded = ['/metrics', '/api/v1/status'];

  test.each(guarded)('%s beyond loopback needs the token', async (path) => {
    const { address } = await start(sampleState(), { host: '0.0.0.0', token: TOKEN });
    expect(await ask(address.port, path)).toMatchObject({ status: 401, headers: { 'www-authenticate': 'Bearer' } });
    expect((await ask(address.port, path, { headers: { authorization: 'Bearer wrong' } })).status).toBe(401);
    expect((await ask(address.port, path, { headers: { authorization: `Basic ${TOKEN}` } })).status).toBe(401);
    expect((await ask(address.port, path, { headers: { authorization: `Bearer ${TOKEN}` } })).status).toBe(200);
    expect((await ask(address.port, '/health/ready')).status).toBe(200);
  });

  test.each(['0.0.0.0', '::', '192.0.2.1', 'example.org'])('does not start on %s without a token', async (host) => {
    await expect(start(sampleState(), { host })).rejects.toMatchObject({ code: 'listen_unprotected' });
  });

  test.each(guarded)('%s on loopback answers only when addressed as loopback', async (path) => {
    const { address } = await start();
    for (const host of ['localhost', `localhost:${address.port}`, '127.0.0.1:1', '127.9.9.9', '[::1]:9500', 'LOCALHOST']) {
      expect((await ask(address.port, path, { headers: { host } })).status, host).toBe(200);
    }
    for (const host of ['evil.example', `evil.example:${address.port}`, 'localhost.evil.example', '127.0.0.1.evil.example', '192.0.2.1']) {
      expect((await ask(address.port, path, { headers: { host } })).status, host).toBe(403);
    }
    expect(await exchange(address.port, `GET ${path} HTTP/1.0\r\n\r\n`)).toMatch(/^HTTP\/1\.1 403 /);
  });
});

describe('requests', () => {
  test('status tells how the node stands', async () => {
    const { address } = await start();
    const { body, headers } = await ask(address.port, '/api/v1/status?pretty');
    expect(headers).toMatchObject({
      'content-type': 'application/json; charset=utf-8',
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
    });
    expect(JSON.parse(body)).toMatchObject({
      node: 'node-1',
      ready: true,
      obstacles: [],
      lag: { batches: 3, ms: 1500 },
      deadLetters: { open: 2 },
    });
  });

  test.each(['POST', 'PUT', 'DELETE', 'HEAD', 'OPTIONS', 'TRACE'])('%s is refused', async (method) => {
    const { address } = await start();
    expect(await ask(address.port, '/health/live', { method })).toMatchObject({ status: 405, headers: { allow: 'GET' } });
  });

  test.each(['/', '/health', '/health/live/', '/__proto__', '/constructor', '//metrics', '/../metrics'])(
    '%s is not found',
    async (path) => {
      const { address } = await start();
      const { status, headers, body } = await ask(address.port, path);
      expect({ status, type: headers['content-type'] }).toEqual({ status: 404, type: 'application/problem+json' });
      expect(JSON.parse(body)).toMatchObject({ status: 404, title: 'not found' });
    },
  );

  test('a request with a body is answered and the connection closed', async () => {
    const { address } = await start();
    expect(await ask(address.port, '/health/live', { headers: { 'content-length': '5' }, body: 'hello' })).toMatchObject({
      status: 200,
      headers: { connection: 'close' },
    });
  });

  test('headers beyond the bound, and what is no HTTP, are refused', async () => {
    const { address } = await start();
    const head = 'GET /health/live HTTP/1.1\r\nHost: localhost\r\n';
    expect(await exchange(address.port, `${head}X-Large: ${'a'.repeat(20_000)}\r\n\r\n`)).toMatch(/^HTTP\/1\.1 400 /);
    expect(await exchange(address.port, '\0\x01\x02 no http\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /);
    expect((await ask(address.port, '/health/live')).status).toBe(200);
  });
});

describe('taking the node out of service', () => {
  test('POST drains, DELETE puts back, GET looks, and each tells what is left to hand over', async () => {
    const { address } = await start();
    const left = { duty: 'serving', sessions: 3, slices: 0, leases: 2, takenOver: 'nobody' };
    for (const [method, status] of [
      ['GET', 200],
      ['POST', 202],
      ['DELETE', 200],
    ] as const) {
      const answer = await ask(address.port, '/api/v1/drain', { method });
      expect({ status: answer.status, left: JSON.parse(answer.body) }).toEqual({ status, left });
    }
    expect(asked).toEqual(['drain', 'resume']);
    expect(await ask(address.port, '/api/v1/drain', { method: 'PUT' })).toMatchObject({
      status: 405,
      headers: { allow: 'GET, POST, DELETE' },
    });
  });

  test.each<[string, Record<string, string>, number]>([
    ['without the token', {}, 401],
    ['by a page in a browser', { authorization: `Bearer ${TOKEN}`, origin: 'http://127.0.0.1' }, 403],
    ['under another name', { authorization: `Bearer ${TOKEN}`, host: 'evil.example' }, 403],
  ])('%s is refused', async (_, headers, status) => {
    const { address } = await start(sampleState(), { token: TOKEN });
    for (const method of ['POST', 'DELETE']) expect((await ask(address.port, '/api/v1/drain', { method, headers })).status).toBe(status);
    expect(asked).toEqual([]);
  });

  test('is not done on the listener for health', async () => {
    const admin = await start(sampleState(), {}, { host: '127.0.0.1', port: 0 });
    expect((await ask(admin.healthAddress?.port ?? 0, '/api/v1/drain', { method: 'POST' })).status).toBe(404);
    expect(asked).toEqual([]);
  });

  test.each(['draining', 'drained', 'stopping'] as const)(
    'a node that is %s is not ready, though nothing is wrong with it',
    async (duty) => {
      const { address } = await start({ ...sampleState(), drain: () => ({ ...sampleState().drain(), duty }) });
      expect((await ask(address.port, '/health/ready')).status).toBe(503);
      expect((await ask(address.port, '/health/live')).status).toBe(200);
      const { body } = await ask(address.port, '/api/v1/status');
      expect(JSON.parse(body)).toMatchObject({ duty, ready: false, obstacles: [expect.stringMatching(/^it is /)] });
    },
  );
});

test('another token counts from the next request on', async () => {
  const admin = await start(sampleState(), { token: TOKEN });
  const status = async (token: string) =>
    (await ask(admin.address.port, '/metrics', { headers: { authorization: `Bearer ${token}` } })).status;
  expect([await status(TOKEN), await status('other')]).toEqual([200, 401]);
  admin.useToken('other');
  expect([await status(TOKEN), await status('other')]).toEqual([401, 200]);
});

describe('life', () => {
  test('a port in use is an error that names it', async () => {
    const { address } = await start();
    const state = sampleState();
    const second = createAdmin(
      { admin: { host: '127.0.0.1', port: address.port }, health: undefined },
      state,
      control,
      createMetrics(state),
      createLogger({ level: 'silent', format: 'json' }),
    );
    await expect(second.start()).rejects.toMatchObject({
      code: 'listen_failed',
      message: expect.stringContaining(`127.0.0.1:${address.port}`),
    });
    await second.close();
  });

  test('when the second listener cannot start, the first is closed', async () => {
    const { address } = await start();
    const state = sampleState();
    const other = createAdmin(
      { admin: { host: '127.0.0.1', port: 0 }, health: { host: '127.0.0.1', port: address.port } },
      state,
      control,
      createMetrics(state),
      createLogger({ level: 'silent', format: 'json' }),
    );
    await expect(other.start()).rejects.toMatchObject({ code: 'listen_failed' });
    expect(() => other.address).toThrow();
  });

  test('closing ends connections that are open, and may be repeated', async () => {
    const admin = await start();
    const socket = connect(admin.address.port, '127.0.0.1');
    const ended = Promise.withResolvers<void>();
    socket.on('close', () => ended.resolve());
    socket.on('error', () => {});
    socket.write('GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await new Promise((resolve) => socket.once('data', resolve));
    await Promise.all([admin.close(), admin.close()]);
    await ended.promise;
    await admin.close();
  });
});

/** What comes back for these very bytes until the server closes the connection. */
async function exchange(port: number, bytes: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.write(bytes, 'latin1');
  return text(socket);
}
