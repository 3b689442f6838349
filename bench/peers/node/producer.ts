/** One RPUSH for each change, each awaited. */
import { Redis } from 'ioredis';
import { readChanges, startLine, variable } from '../start-line.ts';

const changes = readChanges();
const redis = new Redis(Number(variable('REDIS_PORT')), '127.0.0.1');
await redis.ping();
await startLine();

for (const change of changes) await redis.rpush('changes', JSON.stringify(change));

console.log('done');
redis.disconnect();
