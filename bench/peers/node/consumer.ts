/** One BLPOP and one statement in a transaction of its own for each change. */
import { Redis } from 'ioredis';
import { createConnection } from 'mysql2/promise';
import type { Item } from '../../workload.ts';
import { databaseOptions } from '../database.ts';
import { variable } from '../start-line.ts';
import { ONE_ROW, upsert } from '../upsert.ts';

const redis = new Redis(Number(variable('REDIS_PORT')), '127.0.0.1');
await redis.ping();
const database = await createConnection(databaseOptions());
const statement = upsert(ONE_ROW);
await database.prepare(statement);
console.log('ready');

for (let left = Number(variable('COUNT')); left > 0; left--) {
  const [, change] = (await redis.blpop('changes', 0)) as [string, string];
  // A prepared statement, kept by the connection.
  await database.execute(statement, [...(JSON.parse(change) as Item)]);
}

console.log('done');
redis.disconnect();
await database.end();
