import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { type AddressInfo, connect as connectTcp } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer as createTlsServer } from 'node:tls';
import { afterEach, describe, expect, test } from 'vitest';
import { connect } from '../../src/client/client.ts';
import { FrameDecoder } from '../../src/protocol/frame-decoder.ts';
import { encodeFrame, FRAME } from '../../src/protocol/frame.ts';
import { encodeHello } from '../../src/protocol/messages.ts';
import { dialSocket } from '../contract/listener-subjects.ts';
import { auditFaults } from '../support/audit.ts';
import { createAuditedDatabase, readAuditedDatabase } from '../support/audited-database.ts';
import { createCertificate } from '../support/certificate.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';
import { mariadbAvailable, startMariadb } from '../support/mariadb-server.ts';
import { ProducerProcess } from '../support/producer-process.ts';
import { redisAvailable, startRedis } from '../support/redis-server.ts';
import { RowLoad } from '../support/row-load.ts';
import { ServerProcess } from '../support/server-process.ts';
import { WebSocketPeer } from '../support/web-socket-peer.ts';

/** Whatever a test started, ended in the opposite order. */
const running: { close(): unknown }[] = [];
afterEach(async () => {
  for (const one of running.splice(0).toReversed()) await one.close();
});

function keep<T extends { close(): unknown }>(one: T): T {
  running.push(one);
  return one;
}

async function startServer(env: Readonly<Record<string, string>> = {}): Promise<{ server: ServerProcess; port: number }> {
  const port = await freePort();
  const server = keep(await ServerProcess.create({ SYNCLINE_WEB_PORT: String(port), ...env }));
  await server.start();
  return { server, port };
}

describe.skipIf(!redisAvailable() || !mariadbAvailable())('the main job over WebSocket, with Redis and MariaDB', () => {
  test('every row takes effect once and in order, however often the server is killed', async () => {
    const mariadb = keep(await startMariadb());
    await createAuditedDatabase(mariadb);
    const redis = keep(await startRedis({ args: ['--appendonly', 'yes'] }));
    const { server, port } = await startServer({
      SYNCLINE_QUEUE: redis.url,
      SYNCLINE_SINK: mariadb.url('shop'),
      SYNCLINE_APPLY_LEASE_MS: '1000',
    });
    const client = await connect({ url: `ws://127.0.0.1:${port}/ws` });
    keep({ close: () => client.close({ flush: false }) });
    let returns = 0;
    client.on('connected', () => void returns++);
    const load = new RowLoad(client);
    load.start();
    for (let kill = 1; kill <= 3; kill++) {
      await load.more(300);
      await server.stop('SIGKILL');
      await load.more(50);
      await server.start();
      await eventually(() => expect(returns).toBe(kill));
    }
    await load.more(300);
    await load.stop();
    const { audit, items, strayLetters } = await readAuditedDatabase(mariadb);
    const faults = auditFaults(load.history(), audit, items, load.keys);
    expect(faults.slice(0, 10), `${faults.length} faults`).toEqual([]);
    expect(strayLetters).toBe(0);
  });
});

test('a client of a wss url trusts whom NODE_EXTRA_CA_CERTS names, and nobody else', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'syncline-wss-'));
  keep({ close: () => rmSync(folder, { recursive: true, force: true }) });
  const certificate = createCertificate(folder, 'balancer');
  const { server, port } = await startServer();
  const balancer = createTlsServer({ key: readFileSync(certificate.key), cert: readFileSync(certificate.cert) }, (socket) => {
    const behind = connectTcp(port, '127.0.0.1');
    for (const end of [socket, behind]) end.on('error', () => {});
    socket.pipe(behind).pipe(socket);
  }).listen(0, '127.0.0.1');
  balancer.on('tlsClientError', () => {});
  await once(balancer, 'listening');
  keep(balancer);
  const url = `wss://localhost:${(balancer.address() as AddressInfo).port}`;

  const trusting = keep(new ProducerProcess(url, { env: { NODE_EXTRA_CA_CERTS: certificate.ca } }));
  trusting.start();
  await trusting.sending();
  await eventually(async () => expect((await server.status()).sessions.open).toBe(1));
  expect(await trusting.stop('SIGTERM')).toBe(0);
  await expect(connect({ url, connectTimeoutMs: 500 })).rejects.toMatchObject({
    code: 'server_unavailable',
    message: expect.stringContaining('cannot be reached') as string,
  });
});

test('a server that stops sends clients of WebSocket away, and answers the requests that are under way', async () => {
  const { server, port } = await startServer();
  const decoder = new FrameDecoder(1 << 20);
  const types: number[] = [];
  const peer: WebSocketPeer = await WebSocketPeer.upgrade(await dialSocket(port), (chunk) => {
    decoder.push(chunk);
    for (let frame = decoder.next(); frame !== undefined; frame = decoder.next()) {
      types.push(frame.type);
      if (frame.type === FRAME.goaway) peer.send(encodeFrame({ type: FRAME.bye }));
    }
  });
  const hello = encodeHello({ v: 1, token: '', stream: 'a'.repeat(32), oldest: new Map(), agent: 'test' });
  peer.send(encodeFrame({ type: FRAME.hello, payload: hello }));
  await eventually(() => expect(types).toContain(FRAME.welcome));
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const body = writable.getWriter();
  const headers = { 'content-type': 'application/x-ndjson' };
  const answered = fetch(`http://127.0.0.1:${port}/api/v1/changes`, { method: 'POST', headers, body: readable, duplex: 'half' });
  await body.write(Buffer.from('{"table":"items","key":["id"],"row":{"id":1}}\n'));
  await eventually(async () => expect((await server.status()).sessions.open).toBe(2));
  const stopped = server.stop('SIGTERM');
  await eventually(() => expect(fetch(`http://127.0.0.1:${port}/`)).rejects.toThrow('fetch failed'));
  await body.close().catch(() => {});
  const answer = await answered;
  // What was stored before the end of the body came is said; else that the node goes.
  expect(await answer.json()).toMatchObject(answer.status === 202 ? { changes: 1 } : { code: 'shutting_down', taken: 1 });
  expect(await stopped).toBe(0);
  await eventually(() => expect([types.includes(FRAME.goaway), peer.closeCode]).toEqual([true, 1000]));
});

test('a server says where it listens for the web, and on what', async () => {
  const { server, port } = await startServer();
  expect(server.output).toContain(`"web":"127.0.0.1:${port}"`);
  expect(server.output).toMatch(/"msg":"web engine: (ws on node:http|uWebSockets\.js), because /);
  const answer = await fetch(`http://127.0.0.1:${port}/`);
  expect([answer.status, answer.headers.get('content-type')]).toEqual([404, 'application/problem+json']);
});

test('a server whose web listener is turned off does not listen there', async () => {
  const { server, port } = await startServer({ SYNCLINE_WEB_ENABLED: 'false' });
  expect(server.output).not.toContain('"web"');
  await expect(fetch(`http://127.0.0.1:${port}/`)).rejects.toThrow('fetch failed');
});
