import type { FleetScript } from './fleet-script.ts';

/** What is done over several connections; the transcripts of all fleets must be equal. */
export type FleetScenario = (script: FleetScript) => Promise<void>;

const PUBLISH = "return redis.call('PUBLISH', KEYS[1], ARGV[1])";

export const FLEET_SCENARIOS: Readonly<Record<string, FleetScenario>> = {
  'channels and who listens to them': async (script) => {
    const [a, b, c] = [await script.connect(0), await script.connect(0), await script.connect(0)];
    await script.run(c, 'PUBLISH', 'x', 'to nobody');
    await script.run(a, 'SUBSCRIBE', 'x', 'y', 'x');
    await script.run(b, 'SUBSCRIBE', 'y');
    await script.run(c, 'PUBLISH', 'x', 'one');
    await script.run(c, 'PUBLISH', 'y', 'two');
    await script.run(c, 'PUBLISH', 'z', 'of no interest');
    await script.run(c, 'PUBLISH', 'x');
    await script.run(a, 'UNSUBSCRIBE', 'x', 'z');
    await script.run(c, 'PUBLISH', 'x', 'not any more');
    await script.run(a, 'UNSUBSCRIBE');
    await script.run(a, 'UNSUBSCRIBE');
    await script.run(a, 'GET', 'key');
    await script.run(c, 'PUBLISH', 'y', 'three');
    await script.run(b, 'SUBSCRIBE');
  },

  'what a connection may send that listens': async (script) => {
    const a = await script.connect(0);
    await script.run(a, 'PING');
    await script.run(a, 'SUBSCRIBE', 'x');
    for (const args of [
      ['PING'],
      ['PING', 'text'],
      ['GET', 'key'],
      ['GET'],
      ['SET', 'key', 'v'],
      ['PUBLISH', 'x', 'to itself'],
      ['EVAL', 'return 1', '0'],
      ['EVALSHA', 'f'.repeat(40), '0'],
      ['script', 'LOAD', 'return 1'],
      ['CLIENT', 'SETNAME', 'name'],
      ['INFO', 'none'],
      ['SUBSCRIBE', 'y'],
      ['UNSUBSCRIBE', 'y'],
    ])
      await script.run(a, ...args);
  },

  'scripts that publish': async (script) => {
    const [a, b] = [await script.connect(0), await script.connect(0)];
    await script.run(a, 'SUBSCRIBE', 'x');
    await script.run(b, 'EVAL', PUBLISH, '1', 'x', 'one');
    await script.run(b, 'EVAL', PUBLISH, '1', 'y', 'to nobody');
    await script.run(b, 'EVAL', `#!lua flags=no-writes\n${PUBLISH}`, '1', 'x', 'refused');
    await script.run(b, 'EVAL', `#!lua flags=allow-oom\n${PUBLISH}`, '1', 'x', 'two');
    await script.run(b, 'EVAL', "return redis.call('PUBLISH', KEYS[1])", '1', 'x');
    await script.run(b, 'EVAL', "redis.call('PUBLISH', KEYS[1], 'before it fails') return redis.call('LLEN')", '1', 'x');
    await script.run(b, 'EVAL', "return redis.call('SUBSCRIBE', KEYS[1])", '1', 'x');
    await script.run(b, 'EVAL', "return redis.call('UNSUBSCRIBE')", '0');
  },

  'what a server that refuses writes publishes': async (script) => {
    const [a, b] = [await script.connect(0), await script.connect(0)];
    await script.run(a, 'SUBSCRIBE', 'x');
    for (const [name, value, well] of [
      ['maxmemory', '1', '0'],
      ['min-replicas-to-write', '1', '0'],
    ] as const) {
      await script.run(b, 'CONFIG', 'SET', name, value);
      await script.run(b, 'PUBLISH', 'x', name);
      await script.run(b, 'EVAL', PUBLISH, '1', 'x', 'by a script');
      await script.run(b, 'EVAL', `#!lua\n${PUBLISH}`, '1', 'x', 'by a script with flags');
      await script.run(b, 'CONFIG', 'SET', name, well);
    }
  },

  'a replica has what its primary has, and takes nothing else': async (script) => {
    const [a, r, listener] = [await script.connect(0), await script.connect(1), await script.connect(1)];
    await script.run(a, 'SET', 'string', 'v');
    await script.run(a, 'RPUSH', 'list', 'a', 'b', 'c');
    await script.run(a, 'HSET', 'hash', 'f', 'v', 'g', 'w');
    await script.run(r, 'SET', 'own', 'v');
    await script.run(listener, 'SUBSCRIBE', 'x');
    await script.follow(1, 0);
    await script.run(r, 'REPLICAOF', ...script.address(0));
    for (const [name, ...args] of [
      ['GET', 'own'],
      ['GET', 'string'],
      ['LRANGE', 'list', '0', '-1'],
      ['HMGET', 'hash', 'f', 'g'],
      ['SET', 'string', 'w'],
      ['EVAL', "return redis.call('DEL', KEYS[1])", '1', 'string'],
      ['EVAL', "#!lua flags=no-writes\nreturn redis.call('GET', KEYS[1])", '1', 'string'],
      ['WAIT', '0', '1'],
      ['ROLE'],
    ] as const)
      await script.run(r, name, ...args);
    await script.run(a, 'ROLE');
    await script.run(
      a,
      'EVAL',
      "redis.call('LTRIM', 'list', 1, 1) redis.call('HDEL', 'hash', 'f') return redis.call('DEL', 'string')",
      '0',
    );
    await script.run(a, 'SET', 'lease', 'v', 'PX', '600000');
    await script.run(a, 'WAIT', '1', '0');
    await script.run(r, 'LRANGE', 'list', '0', '-1');
    await script.run(r, 'HMGET', 'hash', 'f', 'g');
    await script.run(r, 'GET', 'string');
    await script.run(r, 'GET', 'lease');
    await script.run(a, 'PUBLISH', 'x', 'to the replica');
    await script.run(a, 'WAIT', '1', '0');
    await script.run(listener, 'PING');
    await script.info(a, 'role', 'connected_slaves', 'min_slaves_good_slaves', 'repl_backlog_size', 'second_repl_offset');
    await script.info(r, 'role', 'master_link_status', 'connected_slaves', 'slave_read_only', 'second_repl_offset');
    await script.run(a, 'FLUSHALL');
    await script.run(a, 'WAIT', '1', '0');
    await script.run(r, 'DBSIZE');
  },

  'what WAIT waits for': async (script) => {
    const [a, b, fresh] = [await script.connect(0), await script.connect(0), await script.connect(0)];
    for (const args of [
      ['0', '10'],
      ['1', '10'],
      ['-1', '5'],
      ['x', '5'],
      ['1', 'x'],
      ['1', '-1'],
    ])
      await script.run(a, 'WAIT', ...args);
    await script.run(a, 'EVAL', "return redis.call('WAIT', 1, 1)", '0');
    await script.run(a, 'SET', 'a', '1');
    await script.run(a, 'WAIT', '1', '10');
    await script.follow(1, 0);
    await script.run(a, 'SET', 'a', '2');
    await script.run(a, 'WAIT', '1', '0');
    await script.run(a, 'WAIT', '2', '100');
    await script.pause(1);
    await script.run(a, 'SET', 'a', '3');
    await script.run(a, 'WAIT', '1', '50');
    // What a connection has asked counts, and not only what it has written.
    await script.run(fresh, 'WAIT', '1', '50');
    await script.run(b, 'GET', 'a');
    await script.run(b, 'WAIT', '1', '50');
    await script.run(a, 'CONFIG', 'SET', 'min-replicas-to-write', '1');
    await script.run(a, 'SET', 'a', '4');
    await script.resume(1);
    await script.run(a, 'WAIT', '1', '0');
    await script.run(b, 'WAIT', '1', '0');
    await script.run(a, 'CONFIG', 'SET', 'min-replicas-to-write', '2');
    await script.run(a, 'SET', 'a', '5');
    await script.info(a, 'connected_slaves', 'min_slaves_good_slaves');
  },

  'a replica that is promoted, and the old primary that follows it': async (script) => {
    const [a, r, blocked] = [await script.connect(0), await script.connect(1), await script.connect(0)];
    await script.run(a, 'SET', 'before', 'v');
    await script.follow(1, 0);
    await script.run(r, 'REPLICAOF', 'NO', 'ONE');
    await script.run(r, 'REPLICAOF', 'NO', 'ONE');
    await script.run(r, 'ROLE');
    await script.run(r, 'SET', 'new', 'v');
    await script.run(r, 'GET', 'before');
    await script.run(a, 'SET', 'lost', 'v');
    script.send(blocked, 'WAIT', '5', '0');
    await script.run(a, 'GET', 'lost');
    await script.run(a, 'REPLICAOF', ...script.address(1));
    await script.end(blocked);
    await script.run(a, 'SET', 'x', 'y');
    await script.connected(0, 1);
    await script.run(a, 'GET', 'lost');
    await script.run(a, 'GET', 'new');
    await script.run(a, 'GET', 'before');
    await script.run(a, 'ROLE');
    await script.run(r, 'ROLE');
    await script.run(r, 'CLIENT', 'KILL', 'TYPE', 'normal');
    await script.run(r, 'GET', 'new');
  },

  'a replica without its primary': async (script) => {
    const [r, other] = [await script.connect(1), await script.connect(1)];
    await script.follow(1, 0);
    await script.run(r, 'CONFIG', 'SET', 'replica-serve-stale-data', 'no');
    await script.run(r, 'GET', 'a');
    await script.kill(0);
    await script.linkDown(1);
    for (const args of [
      ['GET', 'a'],
      ['SET', 'a', '1'],
      ['TIME', 'x'],
      ['PUBLISH', 'x', 'y'],
      ['EVAL', "return redis.call('GET', 'a')", '0'],
      ['SCRIPT', 'LOAD', 'return 1'],
      ['CLIENT', 'SETNAME', 'a'],
      ['CONFIG', 'SET', 'maxmemory', '0'],
    ])
      await script.run(other, ...args);
    await script.info(other, 'role', 'master_link_status');
    await script.run(other, 'REPLICAOF', 'NO', 'ONE');
    await script.run(other, 'SET', 'a', '1');
  },
};
