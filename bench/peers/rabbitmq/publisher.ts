/** Persistent messages with confirms that are waited for in batches, while the next is sent: rabbitmq.com/tutorials/tutorial-seven-java */
import { connect } from 'amqplib';
import type { Item } from '../../workload.ts';
import { readChanges, startLine, variable } from '../start-line.ts';
import { QUEUE, QUEUE_OPTIONS } from './queue.ts';

const BATCH = 1000;

const changes = readChanges();
const connection = await connect(variable('AMQP_URL'));
const channel = await connection.createConfirmChannel();
await channel.assertQueue(QUEUE, QUEUE_OPTIONS);
await startLine();

let earlier = Promise.resolve();
for (let i = 0; i < changes.length; i += BATCH) {
  const confirmed = publish(changes.slice(i, i + BATCH));
  await earlier;
  earlier = confirmed;
}
await earlier;

console.log('done');
await connection.close();

/** Resolves when all are confirmed. */
function publish(batch: readonly Item[]): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let left = batch.length;
  for (const change of batch) {
    channel.sendToQueue(QUEUE, Buffer.from(JSON.stringify(change)), { persistent: true }, (error) => {
      left--;
      if (error) reject(error);
      else if (left === 0) resolve();
    });
  }
  return promise;
}
