/** Jobs in bulk: https://docs.bullmq.io/guide/queues/adding-bulks */
import { Queue } from 'bullmq';
import type { Item } from '../../workload.ts';
import { readChanges, startLine, variable } from '../start-line.ts';

const BULK = 1000;

const changes = readChanges();
const queue = new Queue<Item>('changes', {
  connection: { host: '127.0.0.1', port: Number(variable('REDIS_PORT')) },
  // Jobs that fail are tried again, and those that are completed do not fill Redis, as its guides recommend.
  defaultJobOptions: { attempts: 3, backoff: { type: 'exponential', delay: 1000 }, removeOnComplete: true },
});
await queue.waitUntilReady();
await startLine();

for (let i = 0; i < changes.length; i += BULK) {
  await queue.addBulk(changes.slice(i, i + BULK).map((data) => ({ name: 'change', data })));
}

console.log('done');
await queue.close();
