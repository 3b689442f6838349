import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../src/core/clock.ts';
import { systemRandom } from '../../src/core/random.ts';
import { createMemoryQueue } from '../../src/queue/memory.ts';
import { openQueue, openQueueReader, type QueueLocation } from '../../src/queue/open.ts';
import type { QueueSettings } from '../../src/queue/queue.ts';
import { redisAvailable, startRedis, type RedisServer } from '../support/redis-server.ts';
import { startRedisCluster, type RedisCluster } from '../support/redis-cluster.ts';
import { startSentinelGroup, type SentinelGroup } from '../support/redis-sentinel.ts';
import type { OpenedQueue, QueueSubject } from './queue.contract.ts';

/** Every kind of queue, as the contract suite and the model test run them. */
export function queueSubjects(): QueueSubject[] {
  return [memorySubject(), embeddedSubject(), redisSubject(), sentinelSubject(), clusterSubject()];
}

function memorySubject(): QueueSubject {
  return {
    name: 'memory',
    durable: false,
    exactBytes: true,
    start: async () => {},
    stop: async () => {},
    open: async (settings) => {
      const queue = createMemoryQueue(settings, { clock: systemClock, random: systemRandom });
      return {
        queue,
        reader: queue,
        reopen: () => Promise.reject(new Error('the memory queue keeps nothing')),
        close: () => queue.close(),
      };
    },
  };
}

function embeddedSubject(): QueueSubject {
  return {
    name: 'embedded',
    durable: true,
    exactBytes: true,
    start: async () => {},
    stop: async () => {},
    open: async (settings) => {
      const folder = mkdtempSync(join(tmpdir(), 'syncline-queue-'));
      return open(
        { url: 'sqlite:' },
        folder,
        settings,
        async () => {},
        () => rmSync(folder, { recursive: true, force: true }),
      );
    },
  };
}

function redisSubject(): QueueSubject {
  let server: RedisServer;
  return {
    name: 'redis',
    skip: redisAvailable() ? undefined : 'redis-server is not installed',
    durable: true,
    exactBytes: false,
    start: async () => {
      server = await startRedis({ args: ['--appendonly', 'yes', '--appendfsync', 'always'] });
    },
    stop: () => server?.close(),
    open: async (settings) => {
      await server.command('FLUSHALL');
      return open(
        { url: server.url },
        tmpdir(),
        settings,
        () => server.restart(),
        () => {},
      );
    },
  };
}

/** One replica, which must have what is stored. */
function sentinelSubject(): QueueSubject {
  let group: SentinelGroup;
  return {
    name: 'redis under sentinel',
    skip: redisAvailable() ? undefined : 'redis-server is not installed',
    durable: true,
    exactBytes: false,
    start: async () => {
      group = await startSentinelGroup({ args: ['--appendonly', 'yes', '--appendfsync', 'always'] });
    },
    stop: () => group?.close(),
    open: async (settings) => {
      const master = await group.master();
      await master.command('FLUSHALL');
      return open(
        { url: group.url, replicas: 1 },
        tmpdir(),
        settings,
        async () => {
          await master.restart();
          await group.inSync();
        },
        () => {},
      );
    },
  };
}

/** Three masters, over which the partitions are spread. */
function clusterSubject(): QueueSubject {
  let cluster: RedisCluster;
  return {
    name: 'redis cluster',
    skip: redisAvailable() ? undefined : 'redis-server is not installed',
    durable: true,
    exactBytes: false,
    start: async () => {
      cluster = await startRedisCluster({ args: ['--appendonly', 'yes', '--appendfsync', 'always'] });
    },
    stop: () => cluster?.close(),
    open: async (settings) => {
      await cluster.onEach('FLUSHALL');
      return open(
        { url: cluster.url },
        tmpdir(),
        settings,
        async () => {
          await Promise.all(cluster.nodes.map((node) => node.restart()));
          await cluster.settled();
        },
        () => {},
      );
    },
  };
}

async function open(
  location: QueueLocation,
  folder: string,
  first: QueueSettings,
  restart: () => Promise<void>,
  clean: () => void,
): Promise<OpenedQueue> {
  let queue = await openQueue(location, first, { folder });
  const reader = await openQueueReader(location, { folder });
  return {
    queue,
    reader,
    reopen: async (settings = first) => {
      await queue.close();
      await restart();
      queue = await openQueue(location, settings, { folder });
      return queue;
    },
    close: async () => {
      await reader.close();
      await queue.close();
      clean();
    },
  };
}
