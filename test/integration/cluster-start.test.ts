import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { majorOf } from '../../src/cluster/member.ts';
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
