import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { connect, type Client } from '../../src/client/client.ts';
import { Authority, type Certificate } from '../support/certificate.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';
import { haproxyAvailable, startHaproxy, type Haproxy } from '../support/haproxy.ts';
import { startHealthStub } from '../support/health-stub.ts';
import { ServerProcess } from '../support/server-process.ts';

const running: { close(): unknown }[] = [];
let folder: string;
let authority: Authority;
let [ofBalancer, ofNode]: Certificate[] = [];
/** Certificate and key in one file, as HAProxy takes them. */
let pair: string;

function keep<T extends { close(): unknown }>(one: T): T {
  running.push(one);
  return one;
}

/** HAProxy in front of one node, told by its environment where TLS ends. */
async function start(nodeEnv: Record<string, string>, env: Record<string, string>): Promise<{ server: ServerProcess; haproxy: Haproxy }> {
  const [health, backup] = [keep(await startHealthStub(true)), keep(await startHealthStub(false))];
  const web = await freePort();
  const from = { SYNCLINE_TCP_PROXY_FROM: '127.0.0.1', SYNCLINE_WEB_PROXY_FROM: '127.0.0.1', SYNCLINE_WEB_PORT: String(web) };
  const server = keep(await ServerProcess.create({ ...from, ...nodeEnv }));
  await server.start();
  const at = ({ port }: { port: number }) => ({ tcp: server.tcpPort, web, health: port });
  const haproxy = keep(await startHaproxy(at(health), at(backup), { env }));
  await eventually(async () => expect((await haproxy.stats()).get('primary')?.status).toBe('UP'));
  return { server, haproxy };
}

async function connectTo(haproxy: Haproxy, scheme: string): Promise<Client> {
  const tls = { ca: readFileSync(authority.cert, 'utf8') };
  const client = await connect({ url: `${scheme}://localhost:${haproxy.port}`, tls });
  keep({ close: () => client.close({ flush: false }) });
  return client;
}

async function expectRows(client: Client): Promise<void> {
  const table = client.table('item', { key: ['id'] });
  for (let id = 0; id < 300; id++) await table.upsert({ id });
  expect(await client.flush()).toMatchObject({ applied: 300 });
}

/** One change over HTTPS, and a WebSocket that opens and closes. */
async function expectWeb(haproxy: Haproxy): Promise<void> {
  const ca = readFileSync(authority.cert, 'utf8');
  const at = `https://localhost:${haproxy.webPort}/api/v1/changes?ack=applied`;
  const sending = request(at, { ca, agent: false, method: 'POST', headers: { 'content-type': 'application/json' } });
  sending.end(JSON.stringify({ table: 'item', op: 'upsert', key: ['id'], row: { id: 300 } }));
  const [answer] = (await once(sending, 'response')) as [IncomingMessage];
  expect([answer.statusCode, JSON.parse(await text(answer))]).toMatchObject([200, { applied: 1 }]);
  const socket = new WebSocket(`wss://localhost:${haproxy.webPort}/ws`, { ca });
  await once(socket, 'open');
  socket.close();
  await once(socket, 'close');
}

describe.skipIf(!haproxyAvailable())('TLS and HAProxy (skipped without haproxy)', () => {
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'syncline-haproxy-tls-'));
    authority = new Authority(folder, 'authority');
    ofBalancer = authority.issue('balancer', { days: 90 });
    ofNode = authority.issue('node', { names: 'DNS:node.example', days: 90 });
    pair = join(folder, 'pair.pem');
    writeFileSync(pair, readFileSync(ofBalancer.cert, 'utf8') + readFileSync(ofBalancer.key, 'utf8'));
  });
  afterEach(async () => {
    for (const one of running.splice(0).toReversed()) await one.close();
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const nodeTls = ({ cert, key }: Certificate) => ({ SYNCLINE_TLS_CERT: cert, SYNCLINE_TLS_KEY: key });

  test('TLS ends at the balancer, and nodes speak none', async () => {
    const { server, haproxy } = await start({}, { BALANCER_CERTIFICATE: pair });
    await expectRows(await connectTo(haproxy, 'tcps'));
    await expectWeb(haproxy);
    expect(server.output).not.toContain('"level":"warn"');
  });

  test('TLS ends at the balancer and goes on to the nodes, with the header before the handshake', async () => {
    const { server, haproxy } = await start(nodeTls(ofNode as Certificate), {
      BALANCER_CERTIFICATE: pair,
      NODES_CA: authority.cert,
      NODES_NAME: 'node.example',
    });
    await expectRows(await connectTo(haproxy, 'tcps'));
    expect((await server.status()).sessions.addresses).toEqual({ '127.0.0.1': 1 });
    await expectWeb(haproxy);
    expect(server.output).not.toContain('"level":"warn"');
  });

  test('TLS goes through the balancer as it is, to nodes that ask clients for certificates', async () => {
    const asked = { SYNCLINE_TLS_CLIENT_CA: authority.cert, SYNCLINE_TLS_CLIENT_CERTIFICATES: 'optional' };
    const { server, haproxy } = await start({ ...nodeTls(ofBalancer as Certificate), ...asked }, { BALANCER_TLS_THROUGH: 'yes' });
    await expectRows(await connectTo(haproxy, 'tcps'));
    await expectWeb(haproxy);
    expect(server.output).not.toContain('"level":"warn"');
    // The frame that says so comes through as well.
    await expect(connectTo(haproxy, 'tcp')).rejects.toMatchObject({ code: 'tls_required' });
  });
});
