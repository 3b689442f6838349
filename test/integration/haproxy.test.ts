import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { connect } from '../../src/client/client.ts';
import { auditFaults } from '../support/audit.ts';
import { createAuditedDatabase, readAuditedDatabase } from '../support/audited-database.ts';
import { eventually } from '../support/eventually.ts';
import { HAPROXY_CONFIG, haproxyAvailable, startHaproxy, type Haproxy } from '../support/haproxy.ts';
import { startHealthStub, type HealthStub } from '../support/health-stub.ts';
import { mariadbAvailable, startMariadb } from '../support/mariadb-server.ts';
import { RawSession } from '../support/raw-session.ts';
import { redisAvailable, startRedis } from '../support/redis-server.ts';
import { RowLoad } from '../support/row-load.ts';
import { ServerProcess } from '../support/server-process.ts';

/** A server and what HAProxy is told about it. */
interface TestNode {
  readonly server: ServerProcess;
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
  const server = keep(await ServerProcess.create({ SYNCLINE_TCP_PROXY_FROM: '127.0.0.1', ...env }));
  await server.start();
  return { server, health };
}

async function balance([primary, backup]: readonly [TestNode, TestNode], env: Readonly<Record<string, string>> = {}): Promise<Haproxy> {
  const ports = ({ server, health }: TestNode) => ({ tcp: server.tcpPort, health: health.port });
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
    ['with the part for HTTP and WebSocket', { BALANCER_HTTP: '1' }],
    ['for nodes that are all active', { BALANCER_ACTIVE: '1' }],
    ['with all of it', { BALANCER_ACTIVE: '1', BALANCER_HTTP: '1' }],
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

  test('an address that connects too often is held back', async () => {
    const limited = await balance(nodes, { MAX_NEW_CONNECTIONS_PER_10S: '5' });
    balancers.push(limited);
    await states(limited, 'UP', 'DOWN');
    const many = Array.from({ length: 8 }, () => session(limited.port, '127.0.0.7'));
    await eventually(() => expect(many.filter(({ isOpen }) => isOpen).length).toBe(5));
    await eventually(() => expect(many.filter(({ isClosed }) => isClosed).length).toBe(3));
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

  test('sessions are moved to and fro and HAProxy is killed twice, and every row is applied once and in order', async () => {
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
    const client = await connect({ url: haproxy.url });
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
  });
});
