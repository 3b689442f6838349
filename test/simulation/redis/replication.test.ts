import { describe, expect, test } from 'vitest';
import { SeededRandom } from '../../support/seeded-random.ts';
import { Host } from '../world/host.ts';
import { Network } from '../world/network.ts';
import { Timeline } from '../world/timeline.ts';
import { Together } from '../world/wire.ts';
import type { Reply } from './replies.ts';
import { SimRedis, type SimRedisOptions } from './server.ts';

/** Three servers, of which the second and the third follow the first. */
async function makeWorld(options: SimRedisOptions = {}, seed = 1) {
  const timeline = new Timeline();
  const random = new SeededRandom(seed);
  const network = new Network(timeline, random);
  const names = ['a', 'b', 'c'] as const;
  const servers = names.map((name) => new SimRedis(new Host(name, timeline), network, random, options));
  const [a, b, c] = servers as [SimRedis, SimRedis, SimRedis];
  for (const server of servers) server.boot();
  const pass = (ms: number) => timeline.run(timeline.nowMs + ms);
  const follow = (server: SimRedis, primary: SimRedis) => server.execute(['REPLICAOF', primary.service, '6379']);
  const promote = (server: SimRedis) => server.execute(['REPLICAOF', 'NO', 'ONE']);
  follow(b, a);
  follow(c, a);
  await pass(100);
  const info = (server: SimRedis, field: string) =>
    new RegExp(`^${field}:(.*?)\r?$`, 'm').exec(String(server.execute(['INFO', 'replication'])))?.[1];
  return { timeline, network, a, b, c, pass, follow, promote, info };
}

/** A connection from a host of its own. */
async function connected({ timeline, network, pass }: Awaited<ReturnType<typeof makeWorld>>, server: SimRedis) {
  const host = new Host('client', timeline);
  host.boot();
  const received: Reply[] = [];
  const state = { isClosed: false };
  const wire = network.dial(host, server.service);
  await pass(10);
  const open = await wire;
  open.open({
    message: (message) => void received.push(...((message as Together).messages as Reply[])),
    closed: () => (state.isClosed = true),
  });
  return { received, state, send: (...commands: string[][]) => open.send(new Together(commands)) };
}

const count = (server: SimRedis) => server.execute(['LLEN', 'list']);
const push = (server: SimRedis, times = 1) => {
  for (let i = 0; i < times; i++) server.execute(['RPUSH', 'list', String(i)]);
};

test('writes reach the replicas after the time of the way, all at once what a script wrote', async () => {
  const { network, a, b, c, pass } = await makeWorld();
  network.setPath('a', 'b', { minLatencyMs: 50, maxLatencyMs: 50 });
  a.execute(['EVAL', "for i = 1, 3 do redis.call('RPUSH', 'list', i) end return 1", '0']);
  await pass(10);
  expect([count(b), count(c)]).toEqual([0, 3]);
  await pass(41);
  expect(count(b)).toBe(3);
});

test('what a replica had not received when it was promoted is lost, and what the old primary wrote meanwhile vanishes', async () => {
  const { network, a, b, c, pass, follow, promote } = await makeWorld();
  push(a, 5);
  await pass(10);
  network.cut('a', 'b');
  push(a, 3);
  await pass(10);
  expect([count(a), count(b), count(c)]).toEqual([8, 5, 8]);
  promote(b);
  network.mend('a', 'b');
  await pass(10);
  expect(count(b)).toBe(5);
  push(b);
  follow(c, b);
  follow(a, b);
  await pass(2_000);
  expect([count(a), count(b), count(c)]).toEqual([6, 6, 6]);
  push(b);
  await pass(10);
  expect([count(a), count(c)]).toEqual([7, 7]);
});

describe('how a replica comes back', () => {
  /** What the replica alone has: a copy of everything takes it away. */
  const marked = (server: SimRedis) => server.store.listAt('mark').length;

  test('after a short while it gets what it missed', async () => {
    const { network, a, b, pass } = await makeWorld();
    network.resetBetween('a', 'b');
    network.cut('a', 'b');
    network.cut('b', 'a');
    push(a, 4);
    b.store.push('mark', ['not of the primary']);
    await pass(3_000);
    expect(count(b)).toBe(0);
    network.mend('a', 'b');
    network.mend('b', 'a');
    await pass(7_000);
    expect([count(b), marked(b)]).toEqual([4, 1]);
  });

  test('after more than the backlog holds it copies everything', async () => {
    const { network, a, b, pass, info } = await makeWorld();
    a.execute(['CONFIG', 'SET', 'repl-backlog-size', '100']);
    // The size holds for the backlog that is made next.
    a.kill('process');
    a.boot();
    await pass(3_000);
    expect(info(a, 'connected_slaves')).toBe('2');
    network.resetBetween('a', 'b');
    network.cut('a', 'b');
    push(a, 20);
    b.store.push('mark', ['not of the primary']);
    await pass(3_000);
    network.mend('a', 'b');
    await pass(7_000);
    expect([count(b), marked(b)]).toEqual([20, 0]);
  });

  test('a primary that begins anew is copied as it is then, also when it has lost everything', async () => {
    const { a, b, pass, info } = await makeWorld();
    push(a, 4);
    await pass(10);
    a.kill('file-lost');
    await pass(2_000);
    expect([count(b), info(b, 'master_link_status')]).toEqual([4, 'down']);
    a.boot();
    await pass(3_000);
    expect([count(b), info(b, 'master_link_status')]).toEqual([0, 'up']);
  });

  test('a replica that was killed follows again when it is back', async () => {
    const { a, b, pass, info } = await makeWorld();
    push(a, 2);
    await pass(10);
    b.kill('power-loss');
    push(a, 2);
    await pass(100);
    expect(info(a, 'connected_slaves')).toBe('1');
    b.boot();
    await pass(3_000);
    expect([count(b), info(b, 'role'), info(a, 'connected_slaves')]).toEqual([4, 'slave', '2']);
  });

  test('the old primary gets only what it missed when it had written nothing that was lost', async () => {
    const { a, b, pass, follow, promote } = await makeWorld();
    push(a, 3);
    await pass(10);
    promote(b);
    push(b);
    follow(a, b);
    a.store.push('mark', ['not of the primary']);
    await pass(2_000);
    expect([count(a), marked(a)]).toEqual([4, 1]);
  });
});

test('keys expire when the primary says so; a replica hides them until then', async () => {
  const { network, a, b, pass, promote } = await makeWorld();
  a.execute(['SET', 'lease', 'v', 'PX', '100']);
  await pass(10);
  network.cut('a', 'b');
  await pass(200);
  expect([b.execute(['GET', 'lease']), b.store.size]).toEqual([null, 1]);
  promote(b);
  expect([b.execute(['GET', 'lease']), b.store.size]).toEqual([null, 0]);
});

describe('WAIT', () => {
  test('is answered when enough replicas have what was written, and what is behind it waits', async () => {
    const world = await makeWorld();
    const { network, a, pass } = world;
    const client = await connected(world, a);
    network.setPath('b', 'a', { minLatencyMs: 200, maxLatencyMs: 200 });
    network.setPath('c', 'a', { minLatencyMs: 400, maxLatencyMs: 400 });
    client.send(['RPUSH', 'list', 'x'], ['WAIT', '1', '1000'], ['LLEN', 'list']);
    client.send(['WAIT', '2', '1000'], ['WAIT', '3', '500'], ['LLEN', 'list']);
    await pass(150);
    expect(client.received).toEqual([1]);
    await pass(100);
    expect(client.received).toEqual([1, 1, 1]);
    await pass(250);
    expect(client.received).toEqual([1, 1, 1, 2]);
    await pass(500);
    expect(client.received).toEqual([1, 1, 1, 2, 2, 1]);
  });

  test('ends with its connection', async () => {
    const world = await makeWorld();
    const { network, a, b, pass, info } = world;
    const client = await connected(world, a);
    client.send(['WAIT', '9', '0']);
    await pass(10);
    network.resetBetween('client', 'a');
    b.host.pause();
    await pass(3_000);
    expect([client.received, client.state.isClosed, info(a, 'connected_slaves')]).toEqual([[], true, '2']);
  });
});

test('writes are refused while too few replicas were heard of lately', async () => {
  const { network, a, pass, info } = await makeWorld();
  a.execute(['CONFIG', 'SET', 'min-replicas-to-write', '1']);
  a.execute(['CONFIG', 'SET', 'min-replicas-max-lag', '5']);
  network.cut('b', 'a');
  network.cut('c', 'a');
  await pass(4_000);
  expect([String(a.execute(['RPUSH', 'list', 'x'])), info(a, 'min_slaves_good_slaves')]).toEqual(['1', '2']);
  await pass(4_000);
  expect([String(a.execute(['RPUSH', 'list', 'x'])), info(a, 'min_slaves_good_slaves')]).toEqual([
    expect.stringContaining('NOREPLICAS'),
    '0',
  ]);
  network.mend('b', 'a');
  await pass(2_000);
  expect(a.execute(['RPUSH', 'list', 'x'])).toBe(2);
});

test('a seed decides everything', async () => {
  const run = async (seed: number) => {
    const { timeline, network, a, b, pass, follow, promote, info } = await makeWorld({}, seed);
    for (let i = 0; i < 20; i++) {
      push(i < 10 ? a : b);
      await pass(7);
      if (i === 8) network.resetBetween('a', 'b');
      if (i === 9) promote(b);
      if (i === 15) follow(a, b);
    }
    await pass(2_000);
    return [timeline.eventCount, info(a, 'master_repl_offset'), info(a, 'master_replid'), count(a), count(b)];
  };
  expect(await run(3)).toEqual(await run(3));
  expect(await run(3)).not.toEqual(await run(4));
});
