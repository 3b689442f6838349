import { systemRandom } from '../../../src/core/random.ts';
import { openRedisReader } from '../../../src/queue/redis/redis-reader.ts';
import { openRedisQueue } from '../../../src/queue/redis/redis-queue.ts';
import { queueContract, type QueueSubject } from '../../contract/queue.contract.ts';
import { SeededRandom } from '../../support/seeded-random.ts';
import { Host } from '../world/host.ts';
import { Network } from '../world/network.ts';
import { Timeline } from '../world/timeline.ts';
import { driverFactory } from './driver.ts';
import { SimRedis } from './server.ts';

/** The queue of production over the simulated server, whose time keeps pace with the time of the tests. */
function simulatedSubject(): QueueSubject {
  const timeline = new Timeline();
  const random = new SeededRandom(1);
  const network = new Network(timeline, random);
  const node = new Host('node', timeline);
  const machine = new Host('redis', timeline);
  const redis = new SimRedis(machine, network, random, { persistence: 'always' });
  const clock = node.boot();
  // The suite compares store times with the wall clock.
  machine.wallOffsetMs = Date.now() - clock.wallMs();
  const options = { url: 'redis://redis', clock, random: systemRandom, createDriver: driverFactory(node, clock, network, redis.service) };
  let isOver = false;
  return {
    name: 'redis in the simulation',
    durable: true,
    exactBytes: false,
    start: async () => {
      redis.boot();
      void keepPace(timeline, () => isOver);
    },
    stop: async () => {
      isOver = true;
    },
    open: async (settings) => {
      redis.flushAll();
      let queue = await openRedisQueue(settings, options);
      const reader = await openRedisReader(options);
      return {
        queue,
        reader,
        reopen: async (newSettings = settings) => {
          await queue.close();
          redis.kill('process');
          redis.boot();
          queue = await openRedisQueue(newSettings, options);
          return queue;
        },
        close: async () => {
          await reader.close();
          await queue.close();
        },
      };
    },
  };
}

async function keepPace(timeline: Timeline, isOver: () => boolean): Promise<void> {
  const startedMs = performance.now();
  while (!isOver()) {
    await timeline.run(performance.now() - startedMs);
    await new Promise((resolve) => void setTimeout(resolve, 1));
  }
}

queueContract(simulatedSubject());
