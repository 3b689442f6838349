import type { Fault } from './faults.ts';
import { pickPrimary, REDIS_MEMORY_BYTES } from './redis-group.ts';

/** What happens to Redis. */
export const REDIS_FAULTS: readonly Fault[] = [
  {
    name: 'Redis is killed and restarts with its file',
    weight: 3,
    maxMs: 3_000,
    strike: ({ servers: { group } }, random) => {
      const redis = pickPrimary(group, random);
      redis.kill('process');
      const loadingMs = random.below(500);
      return () => {
        if (!redis.host.isUp) redis.boot(loadingMs);
      };
    },
  },
  {
    name: 'the machine of Redis loses power',
    weight: 2,
    maxMs: 3_000,
    strike: ({ servers: { group } }, random) => {
      const redis = pickPrimary(group, random);
      redis.kill('power-loss');
      const loadingMs = random.below(500);
      return () => {
        if (!redis.host.isUp) redis.boot(loadingMs);
      };
    },
  },
  {
    name: 'Redis restarts empty',
    unfitFor: 'replicas that are waited for',
    weight: 2,
    maxMs: 2_000,
    strike: ({ servers: { group } }, random) => {
      const redis = pickPrimary(group, random);
      redis.kill('file-lost');
      return () => {
        if (!redis.host.isUp) redis.boot();
      };
    },
  },
  {
    name: 'FLUSHALL',
    unfitFor: 'replicas that are waited for',
    weight: 3,
    maxMs: 0,
    strike: ({ servers: { group } }, random) => {
      const redis = pickPrimary(group, random);
      if (redis.host.isUp) redis.flushAll();
      return undefined;
    },
  },
  {
    name: 'somebody deletes a list',
    unfitFor: 'replicas that are waited for',
    weight: 2,
    maxMs: 0,
    strike: ({ servers: { group } }, random) => {
      const list = `syncline:{${random.below(4)}}:list:main`;
      const redis = group.primaryOf(list);
      if (redis.host.isUp) redis.execute(['DEL', list]);
      return undefined;
    },
  },
  {
    name: 'a list is deleted while the database stands still',
    unfitFor: 'replicas that are waited for',
    weight: 2,
    maxMs: 10_000,
    strike: ({ servers: { group, mariadb } }, random) => {
      mariadb.host.pause();
      const list = `syncline:{${random.below(4)}}:list:main`;
      const redis = group.primaryOf(list);
      return () => {
        if (redis.host.isUp) redis.execute(['DEL', list]);
        mariadb.host.resume();
      };
    },
  },
  {
    name: 'a replica that lags behind is promoted',
    unfitFor: 'servers that replace one another',
    weight: 4,
    maxMs: 0,
    strike: ({ servers: { group } }, random) => {
      const redis = pickPrimary(group, random);
      if (redis.host.isUp) redis.rollBack(1 + random.below(random.pick([3, 20, 200])));
      return undefined;
    },
  },
  {
    name: 'Redis stands still',
    weight: 2,
    maxMs: 10_000,
    strike: ({ servers: { group } }, random) => {
      const redis = pickPrimary(group, random);
      redis.host.pause();
      return () => redis.host.resume();
    },
  },
  {
    name: 'Redis is out of memory',
    weight: 2,
    maxMs: 10_000,
    strike: ({ servers: { group } }, random) => {
      const redis = pickPrimary(group, random);
      redis.setMaxMemory(1);
      return () => redis.setMaxMemory(REDIS_MEMORY_BYTES);
    },
  },
  {
    name: 'Redis evicts keys',
    unfitFor: 'replicas that are waited for',
    weight: 1,
    maxMs: 5_000,
    strike: ({ servers: { group } }, random) => {
      const redis = pickPrimary(group, random);
      redis.setPolicy(random.pick(['allkeys-lru', 'volatile-ttl']));
      redis.setMaxMemory(random.pick([1, 20_000]));
      return () => {
        redis.setPolicy('noeviction');
        redis.setMaxMemory(REDIS_MEMORY_BYTES);
      };
    },
  },
  {
    name: 'Redis is a replica for a while',
    unfitFor: 'servers that replace one another',
    weight: 1,
    maxMs: 5_000,
    strike: ({ servers: { group } }, random) => {
      const redis = pickPrimary(group, random);
      redis.setRole('replica');
      return () => redis.setRole('master');
    },
  },
  {
    name: 'Redis cannot save',
    weight: 1,
    maxMs: 5_000,
    strike: ({ servers: { group } }, random) => {
      const redis = pickPrimary(group, random);
      redis.setSaves('fail');
      return () => redis.setSaves('succeed');
    },
  },
];

/** What happens to the database. */
export const MARIADB_FAULTS: readonly Fault[] = [
  {
    name: 'the database is killed',
    weight: 3,
    maxMs: 4_000,
    strike: ({ servers: { mariadb } }) => {
      mariadb.kill();
      return () => {
        if (!mariadb.host.isUp) mariadb.boot();
      };
    },
  },
  {
    name: 'the database stands still',
    weight: 2,
    maxMs: 40_000,
    strike: ({ servers: { mariadb } }) => {
      mariadb.host.pause();
      return () => mariadb.host.resume();
    },
  },
  {
    name: 'a backup of the database is restored',
    weight: 1,
    maxMs: 10_000,
    strike: ({ servers: { view }, clients }) => {
      const restore = view.backUp();
      return () => {
        // See what is said where a backup of a client is restored.
        if (clients.every(({ disk }) => !disk.isRestored)) restore?.();
      };
    },
  },
  {
    name: 'a connection is lost around COMMIT',
    weight: 6,
    maxMs: 0,
    strike: ({ servers: { mariadb } }, random) => {
      mariadb.cutAtCommit(random.pick(['before', 'after', 'answer']));
      return undefined;
    },
  },
  {
    name: 'statements fail as deadlocks or lock waits',
    weight: 4,
    maxMs: 0,
    strike: ({ servers: { mariadb } }, random) => {
      for (let i = random.below(8); i >= 0; i--) mariadb.failStatement(random.pick(['deadlock', 'lock wait']), random.below(40));
      return undefined;
    },
  },
  {
    name: 'the database is read-only',
    weight: 1,
    maxMs: 5_000,
    strike: ({ servers: { mariadb } }) => {
      mariadb.setReadOnly('on');
      return () => mariadb.setReadOnly('off');
    },
  },
  {
    name: 'the disk of the database is full',
    weight: 1,
    maxMs: 5_000,
    strike: ({ servers: { mariadb } }) => {
      mariadb.setFull('on');
      return () => mariadb.setFull('off');
    },
  },
  {
    name: 'a session of the database is killed',
    weight: 2,
    maxMs: 0,
    strike: ({ servers: { mariadb } }, random) => {
      const ids = mariadb.sessionIds;
      if (ids.length > 0) mariadb.killSession(random.pick(ids));
      return undefined;
    },
  },
];
