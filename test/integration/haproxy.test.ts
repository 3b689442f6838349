import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { connect } from '../../src/client/client.ts';
import { encodeFrame, FRAME } from '../../src/protocol/frame.ts';
import { encodeHello } from '../../src/protocol/messages.ts';
import { auditFaults } from '../support/audit.ts';
import { createAuditedDatabase, readAuditedDatabase } from '../support/audited-database.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';
import { HAPROXY_CONFIG, haproxyAvailable, startHaproxy, type Haproxy } from '../support/haproxy.ts';
import { startHealthStub, type HealthStub } from '../support/health-stub.ts';
import { mariadbAvailable, startMariadb } from '../support/mariadb-server.ts';
import { RawSession } from '../support/raw-session.ts';
import { redisAvailable, startRedis } from '../support/redis-server.ts';
import { RowLoad } from '../support/row-load.ts';
import { proxyHeader } from '../support/proxy-header.ts';
import { ServerProcess } from '../support/server-process.ts';
import { WebSocketPeer } from '../support/web-socket-peer.ts';

/** A server and what HAProxy is told about it. */
interface TestNode {
  readonly server: ServerProcess;
  readonly webPort: number;
  readonly health: HealthStub;
}

const available = haproxyAvailable();
/** Whatever was started, ended in the opposite order. */
const running: { close(): unknown }[] = [];

function keep<T extends { close(): unknown }>(one: T): T {
  running.push(one);
  return one;
}

async function closeAll(): Promise<void> {
  for (const one of running.splice(0).toReversed()) await one.close();
}

async function startNode(isPrimary: boolean, env: Readonly<Record<string, string>> = {}): Promise<TestNode> {
  const health = keep(await startHealthStub(isPrimary));
  const webPort = await freePort();
  const proxied = { SYNCLINE_TCP_PROXY_FROM: '127.0.0.1', SYNCLINE_WEB_PROXY_FROM: '127.0.0.1', SYNCLINE_WEB_PORT: String(webPort) };
  const server = keep(await ServerProcess.create({ ...proxied, ...env }));
  await server.start();
  return { server, webPort, health };
}

async function balance([primary, backup]: readonly [TestNode, TestNode], env: Readonly<Record<string, string>> = {}): Promise<Haproxy> {
  const ports = ({ server, webPort, health }: TestNode) => ({ tcp: server.tcpPort, web: webPort, health: health.port });
  return startHaproxy(ports(primary), ports(backup), { env });
}

/** Waits until HAProxy counts the two as up or down. */
async function states(haproxy: Haproxy, primary: 'UP' | 'DOWN', backup: 'UP' | 'DOWN'): Promise<void> {
  await eventually(async () => {
    const stats = await haproxy.stats();
    expect([stats.get('primary')?.status, stats.get('backup')?.status]).toEqual([primary, backup]);
  });
}

/** Waits until a node's sessions come from these addresses; of those that have just ended it hears a moment later. */
function sessionsAt({ server }: TestNode, addresses: Readonly<Record<string, number>>): Promise<void> {
  return eventually(async () => expect((await server.status()).sessions.addresses).toEqual(addresses));
}

describe.skipIf(!available)('haproxy.cfg (skipped without haproxy)', () => {
  test.each<[string, Record<string, string>]>([
    ['as it is', {}],
    ['for nodes that are all active', { BALANCER_ACTIVE: '1' }],
    ['with hosts that are given by name', { PRIMARY_HOST: 'localhost', BACKUP_HOST: 'localhost' }],
  ])('is valid %s, and HAProxy warns of nothing', (_, env) => {
    const { status, stdout, stderr } = spawnSync('haproxy', ['-c', '-f', HAPROXY_CONFIG], {
      env: { PATH: process.env['PATH'] ?? '', ...env },
      encoding: 'utf8',
    });
    expect(`${stderr}${stdout}`).not.toMatch(/WARNING|ALERT/);
    expect(status).toBe(0);
  });
});

describe.skipIf(!available)('HAProxy in front of two nodes (skipped without haproxy)', () => {
  let nodes: [TestNode, TestNode];
  let haproxy: Haproxy;
  const [open, balancers]: [RawSession[], Haproxy[]] = [[], []];

  function session(port: number, from: string): RawSession {
    const one = new RawSession(port, from, randomBytes(16).toString('hex'));
    open.push(one);
    return one;
  }

  beforeAll(async () => {
    nodes = [await startNode(true), await startNode(false)];
    haproxy = keep(await balance(nodes));
    await states(haproxy, 'UP', 'DOWN');
  });
  afterEach(async () => {
    for (const one of open.splice(0)) one.close();
    for (const one of balancers.splice(0)) await one.close();
  });
  afterAll(closeAll);

  test('the node sees the address of the client, and nothing of the checks', async () => {
    const [first, second] = [session(haproxy.port, '127.0.0.7'), session(haproxy.port, '127.0.0.8')];
    await eventually(() => expect([first.isOpen, second.isOpen]).toEqual([true, true]));
    await sessionsAt(nodes[0], { '127.0.0.7': 1, '127.0.0.8': 1 });
    const { output } = nodes[0].server;
    expect(output).toContain('"address":"127.0.0.7"');
    expect(output).not.toContain('"address":"127.0.0.1"');
    expect(output).not.toContain('"level":"warn"');
  });

  test('who comes without a header from the address of the balancer is refused, told why, logged and counted', async () => {
    const direct = session(nodes[0].server.tcpPort, '127.0.0.1');
    await eventually(() => expect(direct.isClosed).toBe(true));
    expect(direct.frames).toEqual(['ERROR']);
    await eventually(() => expect(nodes[0].server.output).toContain('listen.tcp.proxyFrom'));
    const metrics = await (await fetch(`http://127.0.0.1:${nodes[0].server.adminPort}/metrics`)).text();
    expect(metrics).toContain('syncline_connections_refused_total{reason="bad_proxy_header"} 1');
    // From another address nothing has changed.
    const other = session(nodes[0].server.tcpPort, '127.0.0.9');
    await eventually(() => expect(other.isOpen).toBe(true));
  });

  test('a node that no longer leads loses its sessions, and the backup takes them until it leads again', async () => {
    const [primary, backup] = nodes;
    const first = session(haproxy.port, '127.0.0.7');
    await eventually(() => expect(first.isOpen).toBe(true));
    primary.health.isPrimary = false;
    backup.health.isPrimary = true;
    await eventually(() => expect(first.isClosed).toBe(true));
    await states(haproxy, 'DOWN', 'UP');
    const second = session(haproxy.port, '127.0.0.7');
    await eventually(() => expect(second.isOpen).toBe(true));
    await sessionsAt(backup, { '127.0.0.7': 1 });

    // Both lead for a moment: nobody stays behind on the backup.
    primary.health.isPrimary = true;
    await eventually(() => expect(second.isClosed).toBe(true));
    backup.health.isPrimary = false;
    const third = session(haproxy.port, '127.0.0.7');
    await eventually(() => expect(third.isOpen).toBe(true));
    await sessionsAt(primary, { '127.0.0.7': 1 });
    await states(haproxy, 'UP', 'DOWN');
  });

  test('nodes that are all active share the sessions, and one that is not ready gives its own away', async () => {
    const active = await balance(nodes, { BALANCER_ACTIVE: '1' });
    balancers.push(active);
    nodes[1].health.isPrimary = true;
    await states(active, 'UP', 'UP');
    const four: RawSession[] = [];
    for (const from of ['127.0.0.7', '127.0.0.8', '127.0.0.9', '127.0.0.10']) {
      const one = session(active.port, from);
      await eventually(() => expect(one.isOpen).toBe(true));
      four.push(one);
    }
    const counts = async () => Promise.all(nodes.map(async ({ server }) => (await server.status()).sessions.open));
    await eventually(async () => expect(await counts()).toEqual([2, 2]));
    nodes[1].health.isPrimary = false;
    await eventually(() => expect(four.filter(({ isClosed }) => isClosed).length).toBe(2));
    await eventually(async () => expect(await counts()).toEqual([2, 0]));
  });

  test('an address that has too many connections gets no more, and others do', async () => {
    const limited = await balance(nodes, { MAX_CONNECTIONS_PER_ADDRESS: '3' });
    balancers.push(limited);
    await states(limited, 'UP', 'DOWN');
    const three = [1, 2, 3].map(() => session(limited.port, '127.0.0.7'));
    await eventually(() => expect(three.map(({ isOpen }) => isOpen)).toEqual([true, true, true]));
    const fourth = session(limited.port, '127.0.0.7');
    await eventually(() => expect(fourth.isClosed).toBe(true));
    expect(fourth.frames).toEqual([]);
    const other = session(limited.port, '127.0.0.8');
    await eventually(() => expect(other.isOpen).toBe(true));
    expect((await limited.stats()).get('FRONTEND')?.refused).toBe(1);
    await sessionsAt(nodes[0], { '127.0.0.7': 3, '127.0.0.8': 1 });
  });

  test('an address that connects too often is held back, and let in while it goes on trying', async () => {
    const limited = await balance(nodes, { MAX_NEW_CONNECTIONS_PER_10S: '5' });
    balancers.push(limited);
    await states(limited, 'UP', 'DOWN');
    const many = Array.from({ length: 8 }, () => session(limited.port, '127.0.0.7'));
    await eventually(() => expect(many.filter(({ isOpen }) => isOpen).length).toBe(5));
    await eventually(() => expect(many.filter(({ isClosed }) => isClosed).length).toBe(3));
    // Ten tries in ten seconds: if those that fail counted, it would never be let in.
    let next = session(limited.port, '127.0.0.7');
    await eventually(
      () => {
        if (next.isClosed) next = session(limited.port, '127.0.0.7');
        expect(next.isOpen).toBe(true);
      },
      20_000,
      1_000,
    );
  });

  describe('over WebSocket and HTTP', () => {
    const sockets: { destroy(): unknown }[] = [];
    afterEach(() => {
      for (const socket of sockets.splice(0)) socket.destroy();
    });

    async function dial(port: number, from: string) {
      const socket = connectTcp({ port, host: '127.0.0.1', localAddress: from });
      socket.on('error', () => {});
      sockets.push(socket);
      await once(socket, 'connect');
      return socket;
    }

    /** A session over WebSocket; `welcomed` is set when the node has taken it in. */
    async function webSession(from: string): Promise<{ welcomed: boolean; closed: boolean }> {
      const seen = { welcomed: false, closed: false };
      const socket = await dial(haproxy.webPort, from);
      socket.once('close', () => (seen.closed = true));
      const peer = await WebSocketPeer.upgrade(socket, (frame) => void (seen.welcomed ||= frame[4] === FRAME.welcome));
      const hello = { v: 1, token: '', stream: randomBytes(16).toString('hex'), oldest: new Map(), agent: 'raw' };
      peer.send(encodeFrame({ type: FRAME.hello, payload: encodeHello(hello) }));
      return seen;
    }

    test('the node sees the address of the client, and a session follows the lead', async () => {
      const [primary, backup] = nodes;
      const first = await webSession('127.0.0.7');
      await eventually(() => expect(first.welcomed).toBe(true));
      await sessionsAt(primary, { '127.0.0.7': 1 });
      primary.health.isPrimary = false;
      backup.health.isPrimary = true;
      await eventually(() => expect(first.closed).toBe(true));
      await states(haproxy, 'DOWN', 'UP');
      const second = await webSession('127.0.0.8');
      await eventually(() => expect(second.welcomed).toBe(true));
      await sessionsAt(backup, { '127.0.0.8': 1 });
      primary.health.isPrimary = true;
      await eventually(() => expect(second.closed).toBe(true));
      backup.health.isPrimary = false;
      await states(haproxy, 'UP', 'DOWN');
    });

    test('requests reach the node that leads, and a client that sends a header of its own reaches nobody', async () => {
      const answer = await fetch(`http://127.0.0.1:${haproxy.webPort}/nothing`);
      expect([answer.status, answer.headers.get('content-type')]).toEqual([404, 'application/problem+json']);
      const liar = await dial(haproxy.webPort, '127.0.0.7');
      liar.write(Buffer.concat([proxyHeader({ source: '198.51.100.1' }), Buffer.from('GET / HTTP/1.1\r\nHost: h\r\n\r\n')]));
      expect(await text(liar)).toMatch(/^HTTP\/1\.[01] 400 /);
    });

    test('who comes without a header from the address of the balancer is refused and counted', async () => {
      const direct = await dial(nodes[0].webPort, '127.0.0.1');
      direct.write('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
      expect(await text(direct)).toMatch(/^HTTP\/1\.1 400 [^]*does not begin with a PROXY protocol header/);
      await eventually(() => expect(nodes[0].server.output).toContain('listen.web.proxyFrom'));
      const other = await dial(nodes[0].webPort, '127.0.0.9');
      other.write('GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n');
      expect(await text(other)).toMatch(/^HTTP\/1\.1 404 /);
    });
  });

  test('its statistics are pages and metrics on loopback', async () => {
    const page = await fetch(`http://127.0.0.1:${haproxy.statsPort}/`);
    expect([page.status, await page.text()]).toEqual([200, expect.stringContaining('sync_nodes')]);
    const metrics = await (await fetch(`http://127.0.0.1:${haproxy.statsPort}/metrics`)).text();
    expect(metrics).toMatch(/haproxy_server_status\{proxy="sync_nodes",server="primary",state="UP"\} 1/);
  });
});

const servicesAvailable = available && redisAvailable() && mariadbAvailable();

describe.skipIf(!servicesAvailable)('HAProxy, two nodes, one Redis, one MariaDB (skipped without them)', () => {
  afterEach(closeAll);

  test.each(['tcp', 'ws'])(
    'over %s, sessions are moved to and fro and HAProxy is killed twice, and every row is applied once and in order',
    async (scheme) => {
      const mariadb = keep(await startMariadb());
      await createAuditedDatabase(mariadb);
      const redis = keep(await startRedis());
      const env = { SYNCLINE_QUEUE: redis.url, SYNCLINE_SINK: mariadb.url('shop'), SYNCLINE_APPLY_LEASE_MS: '1000' };
      const nodes = [
        await startNode(true, { ...env, SYNCLINE_NODE: 'node-1' }),
        await startNode(false, { ...env, SYNCLINE_NODE: 'node-2' }),
      ] as const;
      const haproxy = keep(await balance(nodes));
      await states(haproxy, 'UP', 'DOWN');
      const client = await connect({ url: scheme === 'ws' ? `ws://127.0.0.1:${haproxy.webPort}` : haproxy.url });
      keep({ close: () => client.close({ flush: false }) });
      const load = new RowLoad(client);
      load.start();
      await load.more(200);
      for (const [leader, other] of [
        [1, 0],
        [0, 1],
      ] as const) {
        nodes[other].health.isPrimary = false;
        nodes[leader].health.isPrimary = true;
        await states(haproxy, leader === 0 ? 'UP' : 'DOWN', leader === 0 ? 'DOWN' : 'UP');
        await eventually(async () => expect((await nodes[leader].server.status()).sessions.open).toBe(1));
        await load.more(200);
        await haproxy.restart();
        await eventually(async () => expect((await nodes[leader].server.status()).sessions.open).toBe(1));
        await load.more(200);
      }
      await load.stop();
      const { audit, items, strayLetters } = await readAuditedDatabase(mariadb);
      const faults = auditFaults(load.history(), audit, items, load.keys);
      expect(faults.slice(0, 10), `${faults.length} faults`).toEqual([]);
      expect(strayLetters).toBe(0);
    },
  );
});
