import { describe, expect, test } from 'vitest';
import { SeededRandom } from '../../support/seeded-random.ts';
import { Host } from '../world/host.ts';
import { Network } from '../world/network.ts';
import { Timeline } from '../world/timeline.ts';
import { Channels } from './channels.ts';
import { Engine, type EngineSettings } from './engine.ts';
import { ErrorReply, StatusReply, type Reply } from './replies.ts';
import { Replication } from './replication.ts';
import { Store } from './store.ts';

function makeEngine(settings: Partial<EngineSettings> = {}) {
  let wallMs = 1_700_000_000_000;
  const random = new SeededRandom(1);
  const store = new Store(() => wallMs, random, 100);
  const complete: EngineSettings = {
    maxMemory: 0,
    policy: 'noeviction',
    role: 'master',
    saves: 'succeed',
    minReplicas: 0,
    maxReplicaLagS: 10,
    backlogBytes: 1000,
    staleData: 'served',
    loading: 'no',
    appendOnly: 'yes',
    runId: 'a'.repeat(40),
    ...settings,
  };
  const timeline = new Timeline();
  const host = new Host('redis', timeline);
  const clock = host.boot();
  const channels = new Channels();
  const network = new Network(timeline, random);
  const parts = { host, network, random, store, channels, settings: complete, clock: () => clock, commit: () => {} };
  const engine = new Engine(store, complete, { channels, replication: new Replication(parts), killClients: () => 0 });
  const run = (...args: string[]) => {
    const reply = plain(engine.execute(args));
    store.commit(wallMs);
    return reply;
  };
  return { store, engine, run, sleep: (ms: number) => (wallMs += ms) };
}

function plain(reply: Reply): unknown {
  if (reply instanceof ErrorReply) return `-${reply.message}`;
  if (reply instanceof StatusReply) return `+${reply.text}`;
  return reply;
}

describe('the data set', () => {
  test('expiry follows the wall clock, forwards and backwards', () => {
    const { run, sleep } = makeEngine();
    run('SET', 'lease', 'x', 'PX', '100');
    sleep(100);
    expect(run('GET', 'lease')).toBe('x');
    sleep(-1000);
    expect(run('PTTL', 'lease')).toBe(1000);
    sleep(1001);
    expect(run('GET', 'lease')).toBe(null);
  });

  test('writes are taken back one after the other, a script as a whole', () => {
    const { run, store } = makeEngine();
    run('RPUSH', 'list', 'a', 'b', 'c');
    run('HSET', 'hash', 'f', '1', 'g', '2');
    run('SET', 'string', 'v', 'PX', '100');
    const states = [dump(run)];
    const usedBytes = [store.usedBytes];
    for (const write of [
      ['LTRIM', 'list', '1', '1'],
      ['EVAL', "redis.call('RPUSH', 'list', 'd') redis.call('HDEL', 'hash', 'f') return redis.call('DEL', 'string')", '0'],
      ['EVAL', "redis.call('HSET', 'hash', 'h', '3') return redis.call('LLEN', 'hash')", '0'],
      ['PEXPIRE', 'string', '5000'],
      ['HINCRBY', 'hash', 'n', '5'],
      ['HSET', 'hash', 'g', 'changed'],
      ['LTRIM', 'list', '5', '9'],
      ['FLUSHALL'],
      ['RPUSH', 'list', 'new'],
    ]) {
      run(...write);
      states.push(dump(run));
      usedBytes.push(store.usedBytes);
    }
    expect(new Set(states).size).toBe(states.length - 1);
    // The expiry of a key that is gone was no write.
    states.splice(4, 1);
    usedBytes.splice(4, 1);
    while (states.length > 1) {
      states.pop();
      usedBytes.pop();
      expect(store.rollBack(1)).toBe(1);
      expect([dump(run), store.usedBytes]).toEqual([states.at(-1), usedBytes.at(-1)]);
    }
    expect(store.rollBack(100)).toBe(3);
    expect([dump(run), store.size]).toEqual([dump(makeEngine().run), 0]);
  });

  test('a script that fails in the middle leaves what it wrote', () => {
    const { run } = makeEngine();
    expect(run('EVAL', "redis.call('SET', 'a', '1')\nreturn redis.call('LLEN', 'a')", '0')).toMatch(/^-WRONGTYPE .* on @user_script:2\.$/);
    expect(run('GET', 'a')).toBe('1');
  });

  test('a scan of a large hash returns what is there from beginning to end', () => {
    const { run } = makeEngine();
    for (let i = 0; i < 2000; i++) run('HSET', 'hash', `field ${i}`, String(i));
    const seen = new Set<string>();
    let cursor = '0';
    let steps = 0;
    do {
      const [next, pairs] = run('HSCAN', 'hash', cursor, 'COUNT', '100') as [string, string[]];
      pairs.filter((_, i) => i % 2 === 0).forEach((field) => seen.add(field));
      run('HDEL', 'hash', `field ${steps}`);
      cursor = next;
      steps++;
    } while (cursor !== '0');
    expect(steps).toBeGreaterThan(10);
    expect(Array.from({ length: 2000 - steps }, (_, i) => `field ${i + steps}`).filter((field) => !seen.has(field))).toEqual([]);
  });
});

describe('memory', () => {
  test('a full server refuses what may grow, and runs scripts that say they may', () => {
    const { run } = makeEngine({ maxMemory: 1 });
    expect(run('SET', 'a', '1')).toMatch(/^-OOM command/);
    expect(run('DEL', 'a')).toBe(0);
    expect(run('EVAL', '#!lua\nreturn 1', '0')).toMatch(/^-OOM command/);
    expect(run('EVAL', '#!lua flags=no-writes\nreturn 1', '0')).toBe(1);
    expect(run('EVAL', "#!lua flags=allow-oom\nreturn redis.call('HSET', 'h', 'f', 'v')", '0')).toBe(1);
    expect(run('EVAL', "return redis.call('HSET', 'h', 'g', 'v')", '0')).toMatch(/^-OOM command/);
  });

  test('eviction removes keys with a time to live, or those not used for long', () => {
    const volatile = makeEngine();
    for (let i = 0; i < 20; i++) volatile.run('SET', `lease ${i}`, 'x'.repeat(1000), 'PX', String(1000 + i));
    volatile.run('SET', 'kept', 'x'.repeat(1000));
    volatile.engine.settings.policy = 'volatile-ttl';
    volatile.engine.settings.maxMemory = volatile.store.usedBytes - 5000;
    expect(volatile.run('SET', 'new', 'v')).toBe('+OK');
    expect(volatile.store.keys()).toContain('kept');
    expect(volatile.store.size).toBeLessThan(20);
    volatile.engine.settings.maxMemory = 1;
    expect(volatile.run('SET', 'new', 'v')).toMatch(/^-OOM/);
    expect(volatile.store.keys()).toEqual(['kept', 'new']);
    volatile.engine.settings.policy = 'allkeys-lru';
    expect(volatile.run('SET', 'new', 'v')).toMatch(/^-OOM/);
    expect(volatile.store.keys()).toEqual([]);
  });
});

function dump(run: (...args: string[]) => unknown): string {
  const hash = run('HSCAN', 'hash', '0') as [string, string[]];
  return JSON.stringify([run('LRANGE', 'list', '0', '-1'), hash[1].toSorted(), run('GET', 'string'), run('PTTL', 'string')]);
}
