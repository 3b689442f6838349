/** Rows of all messages that have come go into one statement, and are acknowledged when it has committed. */
import { connect, type Message } from 'amqplib';
import { createConnection } from 'mysql2/promise';
import type { Item } from '../../workload.ts';
import { databaseOptions } from '../database.ts';
import { variable } from '../start-line.ts';
import { upsert } from '../upsert.ts';
import { QUEUE, QUEUE_OPTIONS } from './queue.ts';

const BATCH = 1000;
/** A full statement is possible, and more is not waiting here than one: twice as many was no faster. */
const PREFETCH = 1000;

const database = await createConnection(databaseOptions());
const connection = await connect(variable('AMQP_URL'));
const channel = await connection.createChannel();
await channel.assertQueue(QUEUE, QUEUE_OPTIONS);
await channel.prefetch(PREFETCH);

const statement = upsert('?');
const waiting: Message[] = [];
let arrived = Promise.withResolvers<void>();
await channel.consume(QUEUE, (message) => {
  if (message === null) throw new Error('the queue was deleted');
  waiting.push(message);
  arrived.resolve();
});
console.log('ready');

for (let left = Number(variable('COUNT')); left > 0;) {
  if (waiting.length === 0) await arrived.promise;
  arrived = Promise.withResolvers();
  const batch = waiting.splice(0, BATCH);
  await database.query(statement, [batch.map(({ content }) => JSON.parse(content.toString()) as Item)]);
  channel.ack(batch.at(-1) as Message, true);
  left -= batch.length;
}

console.log('done');
// The channel first: closing the connection may overtake the last acknowledgement.
await channel.close();
await connection.close();
await database.end();
