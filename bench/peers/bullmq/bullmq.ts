import { missing } from '../missing.ts';
import { installPackages } from '../packages.ts';
import { createPipeline, startRedisQueue } from '../pipeline.ts';
import { nodeCommand } from '../program.ts';
import { missingStores } from '../stores.ts';

/** A job queue for Node.js. */
export const bullmq = createPipeline({
  name: 'bullmq',
  title: 'BullMQ: addBulk of 1,000, a worker with concurrency 50, one upsert per job',
  missing: () => Promise.resolve(missing(missingStores('redis', 'mariadb'), [])),
  warmUpChanges: 2000,
  order: 'any',
  prepare: installPackages,
  startQueue: startRedisQueue,
  producer: nodeCommand(new URL('producer.ts', import.meta.url)),
  consumer: nodeCommand(new URL('worker.ts', import.meta.url)),
});
