import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { connect, type Client } from '../../src/client/client.ts';
import { Authority, type Certificate } from '../support/certificate.ts';
import { eventually } from '../support/eventually.ts';
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

/** HAProxy in front of one node; `edit` switches on what haproxy.cfg holds as comments. */
async function start(
  nodeEnv: Record<string, string>,
  edit: (config: string) => string,
): Promise<{ server: ServerProcess; haproxy: Haproxy }> {
  const [health, backup] = [keep(await startHealthStub(true)), keep(await startHealthStub(false))];
  const server = keep(await ServerProcess.create({ SYNCLINE_TCP_PROXY_FROM: '127.0.0.1', ...nodeEnv }));
  await server.start();
  const at = ({ port }: { port: number }) => ({ tcp: server.tcpPort, health: port });
  const env = { BALANCER_CERTIFICATE: pair, NODES_CA: authority.cert, NODES_NAME: 'node.example' };
  const haproxy = keep(await startHaproxy(at(health), at(backup), { env, edit }));
  await eventually(async () => expect((await haproxy.stats()).get('primary')?.status).toBe('UP'));
  return { server, haproxy };
}

function endTls(config: string): string {
  return switched(config, /^( +)(bind "\$\{BALANCER_TCP_BIND\}")\n/m, '$1#$2\n', /^( +)#(bind "\$\{BALANCER_TCP_BIND\}" ssl )/m);
}

function encryptToNodes(config: string): string {
  return switched(endTls(config), /$^/, '', /^( +)#(default-server ssl )/m);
}

function switched(config: string, off: RegExp, offText: string, on: RegExp): string {
  if (!on.test(config)) throw new Error(`haproxy.cfg holds no line like ${on.source}`);
  return config.replace(off, offText).replace(on, '$1$2');
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
    const { server, haproxy } = await start({}, endTls);
    await expectRows(await connectTo(haproxy, 'tcps'));
    expect(server.output).not.toContain('"level":"warn"');
  });

  test('TLS ends at the balancer and goes on to the nodes, with the header before the handshake', async () => {
    const { server, haproxy } = await start(nodeTls(ofNode as Certificate), encryptToNodes);
    await expectRows(await connectTo(haproxy, 'tcps'));
    expect((await server.status()).sessions.addresses).toEqual({ '127.0.0.1': 1 });
    expect(server.output).not.toContain('"level":"warn"');
  });

  test('TLS goes through the balancer as it is, to nodes that ask clients for certificates', async () => {
    const asked = { SYNCLINE_TLS_CLIENT_CA: authority.cert, SYNCLINE_TLS_CLIENT_CERTIFICATES: 'optional' };
    const { server, haproxy } = await start({ ...nodeTls(ofBalancer as Certificate), ...asked }, (config) => config);
    await expectRows(await connectTo(haproxy, 'tcps'));
    expect(server.output).not.toContain('"level":"warn"');
    // The frame that says so comes through as well.
    await expect(connectTo(haproxy, 'tcp')).rejects.toMatchObject({ code: 'tls_required' });
  });
});
