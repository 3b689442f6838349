import { describe, expect, test } from 'vitest';
import { SeededRandom } from '../../../support/seeded-random.ts';
import { Host } from '../../world/host.ts';
import { Network } from '../../world/network.ts';
import { Timeline } from '../../world/timeline.ts';
import { driverFactory } from '../driver.ts';
import { SimRedis } from '../server.ts';
import { SimSentinel } from './sentinel.ts';

const SENTINELS = ['s1', 's2', 's3'];
const DOWN_AFTER_MS = 3_000;

/** A primary with two replicas, three Sentinels, and somebody who asks them. */
async function makeWorld(seed = 1) {
  const timeline = new Timeline();
  const random = new SeededRandom(seed);
  const network = new Network(timeline, random);
  const [a, b, c] = ['a', 'b', 'c'].map((name) => new SimRedis(new Host(name, timeline), network, random)) as [
    SimRedis,
    SimRedis,
    SimRedis,
  ];
  for (const server of [a, b, c]) server.boot();
  for (const server of [b, c]) server.execute(['REPLICAOF', 'a', '6379']);
  const sentinels = SENTINELS.map(
    (name) =>
      new SimSentinel({
        host: new Host(name, timeline),
        network,
        random,
        name: 'main',
        primary: 'a',
        sentinels: SENTINELS,
        quorum: 2,
        downAfterMs: DOWN_AFTER_MS,
        failoverTimeoutMs: 10_000,
      }),
  );
  for (const sentinel of sentinels) sentinel.boot();
  const pass = (ms: number) => timeline.run(timeline.nowMs + ms);
  const node = new Host('node', timeline);
  const clock = node.boot();
  const createDriver = driverFactory(node, clock, network);
  const options = { protocol: 2, disableClientInfo: true, enableReadyCheck: false, retryStrategy: () => 200 } as const;
  const driverTo = (host: string) => createDriver({ ...options, host });
  const separate = (group: readonly string[], others: readonly string[], how: 'cut' | 'mend') => {
    for (const one of group)
      for (const other of others) {
        network[how](one, other);
        network[how](other, one);
      }
  };
  await pass(12_000);
  const named = () => sentinels.map(({ address }) => address[0]);
  const count = (server: SimRedis) => server.execute(['LLEN', 'list']);
  const push = (server: SimRedis) => String(server.execute(['RPUSH', 'list', 'x']));
  const isReplica = (server: SimRedis) => String(server.execute(['INFO', 'replication'])).includes('role:slave');
  return { timeline, network, a, b, c, sentinels, pass, createDriver, options, driverTo, separate, named, count, push, isReplica };
}

test('while all is well everybody names the primary, and knows replicas and Sentinels', async () => {
  const { pass, driverTo, named } = await makeWorld();
  await pass(60_000);
  expect(named()).toEqual(['a', 'a', 'a']);
  const driver = driverTo('s2');
  await pass(10);
  const answers: unknown[] = [];
  for (const args of [
    ['GET-MASTER-ADDR-BY-NAME', 'main'],
    ['GET-MASTER-ADDR-BY-NAME', 'other'],
    ['MASTER', 'main'],
    ['MASTER', 'other'],
    ['REPLICAS', 'main'],
    ['SENTINELS', 'main'],
  ])
    driver.callBuffer('SENTINEL', ...args).then(
      (reply) => answers.push(textOf(reply)),
      (error: Error) => answers.push(error.message),
    );
  await pass(10);
  expect(answers).toEqual([
    ['a', '6379'],
    null,
    expect.arrayContaining(['name', 'main', 'ip', 'a', 'flags', 'master', 'config-epoch', '0', 'num-slaves', '2', 'num-other-sentinels']),
    'ERR No such master with that name',
    [expect.arrayContaining(['ip', 'b']), expect.arrayContaining(['ip', 'c'])],
    [expect.arrayContaining(['ip', 's1']), expect.arrayContaining(['ip', 's3'])],
  ]);
});

describe('a primary that dies', () => {
  test('is replaced by the replica that has most, and follows it when it is back', async () => {
    const { network, a, b, c, sentinels, pass, driverTo, named, count, push, isReplica } = await makeWorld();
    const driver = driverTo('s3');
    const heard: string[] = [];
    driver.on('message', (_, message) => heard.push(message));
    await pass(10);
    void driver.callBuffer('subscribe', '+switch-master');
    push(a);
    await pass(1_500);
    network.cut('a', 'b');
    push(a);
    // Sentinels learn how far replicas are no more often than this.
    await pass(11_000);
    a.kill('process');
    network.mend('a', 'b');
    await pass(DOWN_AFTER_MS - 1_200);
    expect(named()).toEqual(['a', 'a', 'a']);
    await pass(12_000);
    expect([named(), isReplica(b), isReplica(c)]).toEqual([['c', 'c', 'c'], true, false]);
    expect(heard).toEqual(['main a 6379 c 6379']);
    expect(new Set(sentinels.map(({ configEpoch }) => configEpoch)).size).toBe(1);
    push(c);
    await pass(1_000);
    expect([count(b), count(c)]).toEqual([3, 3]);
    a.boot();
    expect(isReplica(a)).toBe(false);
    push(a);
    expect(count(a)).toBe(3);
    await pass(30_000);
    expect([isReplica(a), count(a), named()]).toEqual([true, 3, ['c', 'c', 'c']]);
    expect(push(a)).toContain('READONLY');
  });

  test('has no successor without a majority of the Sentinels, and has one as soon as there is a majority', async () => {
    const { a, sentinels, pass, named } = await makeWorld();
    sentinels[0]!.host.crash();
    sentinels[1]!.host.crash();
    a.kill('process');
    await pass(60_000);
    expect(named()).toEqual(['a', 'a', 'a']);
    sentinels[0]!.boot();
    await pass(60_000);
    expect(['b', 'c']).toContain(named()[2]);
    expect(named()[0]).toBe(named()[2]);
    sentinels[1]!.boot();
    await pass(5_000);
    expect(new Set(named()).size).toBe(1);
  });

  test('stays replaced although the Sentinel that leads dies once a replica is promoted', async () => {
    const { timeline, a, sentinels, pass, named } = await makeWorld();
    a.kill('process');
    const leader = () => sentinels.find(({ configEpoch, primary, address }) => configEpoch > 0 && primary !== address[0]);
    await timeline.run(timeline.nowMs + 30_000, () => leader() !== undefined);
    const { host, address } = leader()!;
    host.crash();
    await pass(5_000);
    leader()!.boot();
    await pass(5_000);
    expect(named()).toEqual([address[0], address[0], address[0]]);
  });

  test('and is back before it counts as down goes on', async () => {
    const { a, pass, named, push } = await makeWorld();
    push(a);
    a.kill('process');
    // Sentinels ask once a second, and connect again a second after they lost a connection.
    await pass(DOWN_AFTER_MS - 2_500);
    a.boot();
    for (let s = 0; s < 60; s++) {
      await pass(1_000);
      expect(named()).toEqual(['a', 'a', 'a']);
    }
    expect(push(a)).toBe('2');
  });
});

test('a primary that is cut off with the minority goes on, and loses what it wrote when it comes back', async () => {
  const { a, b, c, pass, separate, named, count, push, isReplica } = await makeWorld();
  separate(['a', 's1'], ['b', 'c', 's2', 's3'], 'cut');
  await pass(20_000);
  const successor = named()[1] === 'b' ? b : c;
  expect(named()).toEqual(['a', successor.service, successor.service]);
  push(a);
  push(a);
  push(successor);
  await pass(1_000);
  expect([count(a), count(successor)]).toEqual([2, 1]);
  separate(['a', 's1'], ['b', 'c', 's2', 's3'], 'mend');
  await pass(40_000);
  expect(new Set(named())).toEqual(new Set([successor.service]));
  expect([isReplica(a), count(a), count(b), count(c)]).toEqual([true, 1, 1, 1]);
});

test('a primary that stands still is replaced, and its clients are sent away when it goes on', async () => {
  const { a, pass, named, driverTo, isReplica } = await makeWorld();
  const client = driverTo('a');
  let closed = 0;
  client.on('close', () => closed++);
  client.on('error', () => {});
  await pass(10);
  a.host.pause();
  await pass(20_000);
  expect(named()).not.toContain('a');
  a.host.resume();
  await pass(30_000);
  expect(isReplica(a)).toBe(true);
  expect(closed).toBeGreaterThan(0);
});

test('a Sentinel that stood still does not act at once on what it sees', async () => {
  const { sentinels, a, pass, named } = await makeWorld();
  a.host.pause();
  for (const { host } of sentinels) host.pause();
  await pass(20_000);
  for (const { host } of sentinels) host.resume();
  await pass(25_000);
  expect(named()).toEqual(['a', 'a', 'a']);
  a.host.resume();
  await pass(60_000);
  expect(named()).toEqual(['a', 'a', 'a']);
});

test('a driver goes where it is told to at each connection', async () => {
  const { createDriver, options, a, named, pass } = await makeWorld();
  const driver = createDriver(options, async () => ({ host: named()[0]!, port: 6379 }));
  driver.on('error', () => {});
  await pass(100);
  a.kill('process');
  await pass(20_000);
  let reply: unknown;
  void driver.callBuffer('RPUSH', 'list', 'x').then((given) => (reply = given));
  await pass(100);
  expect(reply).toBe(1);
});

test('seeds decide everything, and every one finds a successor', async () => {
  const run = async (seed: number) => {
    const { timeline, a, pass, named } = await makeWorld(seed);
    a.kill('process');
    for (let s = 0; s < 90 && named().some((host) => host === 'a'); s++) await pass(1_000);
    expect(new Set(named()).size, `seed ${seed}`).toBe(1);
    return [timeline.nowMs, timeline.eventCount, ...named()];
  };
  const outcomes = [];
  for (let seed = 1; seed <= 20; seed++) outcomes.push(await run(seed));
  expect(outcomes.every(([, , host]) => host === 'b' || host === 'c')).toBe(true);
  expect(await run(7)).toEqual(outcomes[6]);
  expect(new Set(outcomes.map(String)).size).toBeGreaterThan(5);
});

function textOf(reply: unknown): unknown {
  if (Buffer.isBuffer(reply)) return reply.toString();
  return Array.isArray(reply) ? reply.map(textOf) : reply;
}
