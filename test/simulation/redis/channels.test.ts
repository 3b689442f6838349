import { expect, test } from 'vitest';
import type { RedisOptions } from 'ioredis';
import { RedisLink, type Driver } from '../../../src/queue/redis/link.ts';
import { SeededRandom } from '../../support/seeded-random.ts';
import { Host } from '../world/host.ts';
import { Network } from '../world/network.ts';
import { randomOf } from '../world/seeded.ts';
import { Timeline } from '../world/timeline.ts';
import { driverFactory } from './driver.ts';
import { SimRedis } from './server.ts';

const OPTIONS: RedisOptions = { protocol: 2, disableClientInfo: true, enableReadyCheck: false, retryStrategy: () => 100 };

/** Two nodes, of which one listens; `heard` has what it was told and when. */
async function makeWorld() {
  const timeline = new Timeline();
  const random = new SeededRandom(1);
  const network = new Network(timeline, random);
  const redis = new SimRedis(new Host('redis', timeline), network, random);
  redis.boot();
  const driverOn = (name: string, options: RedisOptions = {}): Driver => {
    const host = new Host(name, timeline);
    return driverFactory(host, host.boot(), network, redis.service)({ ...OPTIONS, ...options });
  };
  const heard: [atMs: number, message: string][] = [];
  const [listener, speaker] = [driverOn('listener', { autoResubscribe: false }), driverOn('speaker')];
  listener.on('message', (_, message) => heard.push([timeline.nowMs, message]));
  const pass = (ms: number) => timeline.run(timeline.nowMs + ms);
  await pass(10);
  void listener.callBuffer('subscribe', 'hints');
  await pass(10);
  const publish = async (message: string) => {
    let count: unknown;
    void speaker.callBuffer('PUBLISH', 'hints', message).then((reply) => (count = reply));
    await pass(10);
    return count;
  };
  return { timeline, network, redis, heard, listener, publish, pass };
}

test('a message takes the time of two ways, also when a script publishes it', async () => {
  const { timeline, redis, network, heard, publish, pass } = await makeWorld();
  network.setPath('redis', 'listener', { minLatencyMs: 300, maxLatencyMs: 300 });
  const sentMs = timeline.nowMs;
  expect(await publish('one')).toBe(1);
  redis.execute(['EVAL', "return redis.call('PUBLISH', 'hints', 'two')", '0']);
  expect(heard).toEqual([]);
  await pass(1000);
  expect(heard.map(([, message]) => message)).toEqual(['one', 'two']);
  expect(heard[0]![0] - sentMs).toBeGreaterThan(300);
  expect(heard[1]![0] - sentMs).toBeGreaterThanOrEqual(310);
});

test('what is published while a path is cut waits for it, and is lost with the connection', async () => {
  const { network, heard, listener, publish, pass } = await makeWorld();
  network.cut('redis', 'listener');
  expect(await publish('waits')).toBe(1);
  network.mend('redis', 'listener');
  await pass(10);
  expect(heard.map(([, message]) => message)).toEqual(['waits']);
  network.cut('redis', 'listener');
  expect(await publish('lost')).toBe(1);
  network.resetBetween('redis', 'listener');
  network.mend('redis', 'listener');
  await pass(500);
  expect(await publish('to nobody')).toBe(0);
  void listener.callBuffer('subscribe', 'hints');
  await pass(10);
  expect(await publish('again')).toBe(1);
  expect(heard.map(([, message]) => message)).toEqual(['waits', 'again']);
});

test('a server that was killed knows nobody who listened', async () => {
  const { redis, heard, publish, pass } = await makeWorld();
  redis.kill('process');
  redis.boot();
  await pass(1000);
  expect(await publish('to nobody')).toBe(0);
  expect(heard).toEqual([]);
});

test('a link that had subscribed is up again after its server stood still, and subscribes to nothing by itself', async () => {
  const { timeline, network, redis, publish, pass } = await makeWorld();
  const host = new Host('node', timeline);
  const told: string[] = [];
  const link = new RedisLink(
    { url: 'redis://redis', createDriver: driverFactory(host, host.boot(), network, redis.service) },
    { up: () => told.push('up'), down: () => told.push('down') },
    randomOf(new SeededRandom(1)),
  );
  await pass(100);
  void link.command('subscribe', ['hints']);
  await pass(100);
  expect(await publish('one')).toBe(2);
  redis.host.pause();
  const ping = () => link.command('PING', []).catch(() => {});
  for (let i = 0; i < 10; i++) {
    void ping();
    await pass(2_500);
  }
  redis.host.resume();
  await pass(5_000);
  expect([told[0], told.at(-1), told.includes('down')]).toEqual(['up', 'up', true]);
  expect(await publish('two')).toBe(1);
  link.close();
});

test('without a connection there is nothing to subscribe for', async () => {
  const { redis } = await makeWorld();
  expect(() => redis.execute(['SUBSCRIBE', 'hints'])).toThrow('a subscription without a connection');
});
