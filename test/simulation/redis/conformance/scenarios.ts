import { loadScripts } from '../../../../src/queue/redis/scripts.ts';
import type { Subject } from './subjects.ts';

/** Commands and what is done to the server meanwhile; the transcripts of all servers must be equal. */
export type Scenario = (run: (...args: string[]) => Promise<void>, subject: Subject) => Promise<void>;

const { append, fetch, acquire, probe } = loadScripts();

const WRITE_WITHOUT_FLAGS = "return redis.call('SET', KEYS[1], 'v')";
const DELETE_WITHOUT_FLAGS = "return redis.call('DEL', KEYS[1])";
const WRITE_TWICE = "redis.call('DEL', KEYS[1]) return redis.call('SET', KEYS[1], 'v')";
const READ_ONLY = "#!lua flags=no-writes\nreturn redis.call('GET', KEYS[1])";

/** Every kind of command and of script once. */
async function everything(run: (...args: string[]) => Promise<void>): Promise<void> {
  await run('GET', 'string');
  await run('SET', 'string', 'v');
  await run('RPUSH', 'list', 'a');
  await run('LTRIM', 'list', '0', '-1');
  await run('HSET', 'hash', 'f', 'v');
  await run('HSETNX', 'hash', 'f', 'v');
  await run('HINCRBY', 'hash', 'n', '1');
  await run('HDEL', 'hash', 'n');
  await run('PEXPIRE', 'none', '1000');
  await run('DEL', 'none');
  await run('HLEN', 'hash');
  await run('PING');
  await run('SCRIPT', 'LOAD', probe.source);
  await run('EVAL', WRITE_WITHOUT_FLAGS, '1', 'string');
  await run('EVAL', DELETE_WITHOUT_FLAGS, '1', 'none');
  await run('EVAL', WRITE_TWICE, '1', 'string');
  await run('EVAL', READ_ONLY, '1', 'string');
  await run('EVAL', fetch.source, '1', 'list', '1', '1');
  await run('EVAL', probe.source, '1', 'meta', 'settings');
  await run('EVAL', acquire.source, '2', 'q:{0}:lease:main', 'q:{0}:meta', 'token', 'node', '5000', 'wait');
  // A script that no flag lets through is refused before it fails.
  await run('EVAL', '#!lua\nreturn redis.call("LLEN", KEYS[1])', '1', 'string');
  await run('EVALSHA', 'f'.repeat(40), '0');
}

export const SCENARIOS: Readonly<Record<string, Scenario>> = {
  'a server that is well': everything,

  'full memory': async (run) => {
    await everything(run);
    await run('CONFIG', 'SET', 'maxmemory', '1');
    await everything(run);
    await run('CONFIG', 'SET', 'maxmemory', '0');
    await everything(run);
  },

  'eviction of keys with a time to live': async (run) => {
    await run('SET', 'short', 'v', 'PX', '60000');
    await run('SET', 'long', 'v', 'PX', '600000');
    await run('SET', 'kept', 'v');
    await run('RPUSH', 'list', 'kept too');
    await run('CONFIG', 'SET', 'maxmemory-policy', 'volatile-ttl');
    await run('CONFIG', 'SET', 'maxmemory', '1');
    await run('GET', 'short');
    await run('GET', 'long');
    await run('GET', 'kept');
    await run('DBSIZE');
    await everything(run);
    await run('CONFIG', 'SET', 'maxmemory', '0');
    await run('CONFIG', 'SET', 'maxmemory-policy', 'noeviction');
    await run('DBSIZE');
  },

  'eviction of anything': async (run) => {
    for (let i = 0; i < 20; i++) await run('SET', `key ${i}`, 'v');
    await run('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru');
    await run('CONFIG', 'SET', 'maxmemory', '1');
    await run('GET', 'key 3');
    await run('DBSIZE');
    await everything(run);
    await run('CONFIG', 'SET', 'maxmemory', '0');
    await run('CONFIG', 'SET', 'maxmemory-policy', 'noeviction');
    await run('DBSIZE');
  },

  'missing replicas': async (run) => {
    await run('CONFIG', 'SET', 'min-replicas-to-write', '1');
    await everything(run);
    await run('CONFIG', 'SET', 'min-replicas-to-write', '0');
    await everything(run);
  },

  'wrong types': async (run) => {
    await run('SET', 'string', 'v');
    await run('RPUSH', 'list', 'a', 'b');
    await run('HSET', 'hash', 'f', 'v');
    for (const key of ['string', 'list', 'hash', 'none']) {
      await run('GET', key);
      await run('HGET', key, 'f');
      await run('HMGET', key, 'f', 'g');
      await run('HLEN', key);
      await run('HSCAN', key, '0');
      await run('HSETNX', key, 'f', 'v');
      await run('HINCRBY', key, 'f', '1');
      await run('HDEL', key, 'x');
      await run('LLEN', key);
      await run('LINDEX', key, '-1');
      await run('LINDEX', key, 'x');
      await run('LRANGE', key, '-1', '5');
      await run('LTRIM', key, '0', '0');
      await run('RPUSH', key, 'x');
      await run('SET', key, 'v', 'NX');
      await run('PEXPIRE', key, '-5');
      await run('PTTL', key);
      await run('DEL', key, key);
    }
  },

  'strings: a part of one, another like it, and whether it stays': async (run) => {
    await run('SET', 'a', 'abcdef', 'PX', '60000');
    await run('RPUSH', 'list', 'x');
    for (const [start, end] of [
      [0, 2],
      [2, 2],
      [3, 99],
      [7, 9],
      [4, 2],
      [-3, -1],
      [-99, 1],
      [-1, -3],
      [-2, 1],
      [-9, -8],
    ])
      await run('GETRANGE', 'a', String(start), String(end));
    for (const args of [
      ['none', '0', '-1'],
      ['list', '0', '-1'],
      ['a', 'x', '1'],
      ['a', '1'],
    ])
      await run('GETRANGE', ...args);
    for (const args of [['a', 'b'], ['a', 'b'], ['none', 'c'], ['a', 'a'], ['a']]) await run('COPY', ...args);
    for (const key of ['a', 'a', 'list', 'none']) await run('PERSIST', key);
    await run('PERSIST', 'a', 'b');
    for (const key of ['a', 'none']) await run('PTTL', key);
    await run('COPY', 'a', 'c');
    for (const key of ['b', 'c']) await run('PERSIST', key);
    await run('GET', 'c');
  },

  'a script that fails in the middle': async (run) => {
    await run('SET', 'string', 'v');
    await run('EVAL', "redis.call('RPUSH', KEYS[1], 'a')\nredis.call('HSET', KEYS[2], 'f', 'v')\nreturn 1", '2', 'list', 'string');
    await run('LRANGE', 'list', '0', '-1');
    await run('EVAL', append.source, '3', 'list', 'q:{0}:meta', 'q:{0}:list:main', 'settings', '', '', '', '', '1');
    await run('EVAL', append.source, '3', 'q:{0}:streams', 'list', 'q:{0}:list:main', 'settings', '', '', '', '', '1');
    await run('EVAL', append.source, '3', 'q:{0}:streams', 'q:{0}:meta', 'q:{0}:list:main', 'settings', '', '', '', '', '1');
  },

  'a restart': async (run, subject) => {
    await everything(run);
    await run('SET', 'lease', 'v', 'PX', '60000');
    await run('SCRIPT', 'EXISTS', probe.sha);
    await run('EVALSHA', probe.sha, '1', 'meta', 'settings');
    await subject.restart();
    await run('SCRIPT', 'EXISTS', probe.sha);
    await run('EVALSHA', probe.sha, '1', 'meta', 'settings');
    for (const key of ['string', 'lease', 'none']) await run('GET', key);
    await run('LRANGE', 'list', '0', '-1');
    await everything(run);
  },

  'a large hash': async (run) => {
    for (let i = 0; i < 600; i++) await run('HSET', 'hash', `field ${i}`, String(i));
    await run('HSCAN', 'hash', '0', 'COUNT', '5000');
    await run('HLEN', 'hash');
  },
};

/** After these a server is of no further use. */
export const LAST_SCENARIOS: Readonly<Record<string, Scenario>> = {
  'a replica': async (run, subject) => {
    await everything(run);
    await subject.becomeReplica();
    await everything(run);
  },

  loading: async (run, subject) => {
    await subject.restartSlowly();
    await everything(run);
  },

  'failing saves': async (run, subject) => {
    await everything(run);
    await subject.failSaves();
    await everything(run);
  },
};
