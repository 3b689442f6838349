import { missing } from '../missing.ts';
import { installPackages } from '../packages.ts';
import { createPipeline, startRedisQueue } from '../pipeline.ts';
import { nodeCommand } from '../program.ts';
import { missingStores } from '../stores.ts';

/** A loop in Node.js on each side of a Redis list. */
export const nodeLoop = createPipeline({
  name: 'node-loop',
  title: 'Node.js: one RPUSH, one BLPOP and one upsert per change',
  missing: () => Promise.resolve(missing(missingStores('redis', 'mariadb'), [])),
  warmUpChanges: 500,
  order: 'kept',
  prepare: installPackages,
  startQueue: startRedisQueue,
  producer: nodeCommand(new URL('producer.ts', import.meta.url)),
  consumer: nodeCommand(new URL('consumer.ts', import.meta.url)),
});
