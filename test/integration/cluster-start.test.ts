import { once } from 'node:events';
import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { majorOf } from '../../src/cluster/member.ts';
import { encodeFrame, FRAME } from '../../src/protocol/frame.ts';
import { encodeHello } from '../../src/protocol/messages.ts';
import { eventually } from '../support/eventually.ts';
import { mariadbAvailable, startMariadb, type MariadbServer } from '../support/mariadb-server.ts';
import { redisAvailable, startRedis, type RedisServer } from '../support/redis-server.ts';
import { ServerProcess } from '../support/server-process.ts';

const missing = redisAvailable() && mariadbAvailable() ? '' : ' (redis-server and mariadbd must be installed)';

describe.skipIf(missing !== '')(`the start of a node beside others${missing}`, () => {
  let redis: RedisServer;
  let mariadb: MariadbServer;
  let servers: ServerProcess[];

  beforeEach(async () => {
    servers = [];
    redis = await startRedis();
    mariadb = await startMariadb();
    await mariadb.query('CREATE DATABASE shop');
  });

  afterEach(async () => {
    for (const server of servers) await server.close();
    await redis.close();
    await mariadb.close();
  });

  const create = async (name: string, env: Record<string, string> = {}) => {
    const server = await ServerProcess.create({
      SYNCLINE_NODE: name,
      SYNCLINE_CLUSTER_MODE: 'standby',
      SYNCLINE_QUEUE: redis.url,
      SYNCLINE_SINK: mariadb.url('shop'),
      SYNCLINE_APPLY_LEASE_MS: '1500',
      ...env,
    });
    servers.push(server);
    return server;
  };

  const refused = async (server: ServerProcess): Promise<string> => {
    server.launch();
    await eventually(() => {
      if (server.running) throw new Error('it runs');
    }, 20_000);
    expect(await server.stop()).toBe(1);
    return server.output;
  };

  test('is refused while another of its name runs, and not after that one was killed', async () => {
    const first = await create('one');
    await first.start();
    const second = await create('one');
    expect(await refused(second)).toMatch(/another node named one is running \(admin 127\.0\.0\.1:\d+\)/);
    await first.stop('SIGKILL');
    await second.start();
    expect((await second.status()).cluster?.members.map(({ name }) => name)).toEqual(['one']);
  }, 60_000);

  test('is refused in another mode, and beside another major version', async () => {
    const first = await create('one');
    await first.start();
    expect(await refused(await create('two', { SYNCLINE_CLUSTER_MODE: 'active' }))).toMatch(/node one runs .* cluster\.mode standby/);
    const { version } = await first.status();
    await first.stop('SIGTERM');
    const next = `${Number(majorOf(version)) + 1}.0.0`;
    const ahead = Date.now();
    const about = `standby ${next} ready 10.0.0.2:9500`;
    await redis.command('HSET', 'syncline:members', 'newer', `${'1'.repeat(32)} ${ahead} ${ahead + 60_000} 60000 ${about}`);
    expect(await refused(await create('two'))).toContain(`node newer runs version ${next}`);
  }, 60_000);

  test('is followed, at SIGTERM, by an end that balancers see before clients are gone', async () => {
    const server = await create('one');
    await server.start();
    const health = async (name: string) => (await fetch(`http://127.0.0.1:${server.adminPort}/health/${name}`)).status;
    await eventually(async () => expect([await health('primary'), await health('ready')]).toEqual([200, 200]), 20_000);
    // A client that does not leave when it is asked to keeps the server for as long as it lets itself be kept.
    const client = connect(server.tcpPort, '127.0.0.1');
    client.on('error', () => {});
    client.write(
      encodeFrame({ type: FRAME.hello, payload: encodeHello({ v: 1, token: '', stream: 'a'.repeat(32), oldest: new Map(), agent: '' }) }),
    );
    await once(client, 'data');
    const ended = server.stop('SIGTERM');
    await eventually(async () => expect([await health('primary'), await health('ready')]).toEqual([503, 503]));
    expect(server.running).toBe(true);
    client.destroy();
    expect(await ended).toBe(0);
    expect(await redis.command('HLEN', 'syncline:members')).toBe(':0');
    expect(await redis.command('EXISTS', 'syncline:{0}:lease:main')).toBe(':0');
  }, 60_000);

  test('goes on without Redis, and joins when that is there', async () => {
    await redis.kill();
    const server = await create('one');
    await server.start();
    expect((await server.status()).cluster).toMatchObject({ primary: false, members: [] });
    await redis.restart();
    await eventually(
      async () =>
        expect((await server.status()).cluster).toMatchObject({ primary: true, leader: 'one', members: [{ name: 'one', state: 'ready' }] }),
      20_000,
    );
  }, 60_000);
});
