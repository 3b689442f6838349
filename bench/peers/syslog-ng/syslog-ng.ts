import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import type { Contender, Measurement } from '../../contender.ts';
import { changesOf, type Item, type Workload } from '../../workload.ts';
import { writeChanges } from '../changes-file.ts';
import { firstChanges } from '../first-changes.ts';
import { missing, type DebianPackage } from '../missing.ts';
import { nodeCommand, startProgram } from '../program.ts';
import { startQueueRedis } from '../../services/redis.ts';
import { missingStores } from '../stores.ts';
import { startSyslogNg } from './syslog-ng-server.ts';

/** A log server as a door: what comes over TCP is in a list of Redis, and nothing more. */
export const syslogNg: Contender = {
  name: 'syslog-ng',
  title: 'syslog-ng: TCP to a Redis list in batches of 1,000, without acknowledgements',
  missing: () => Promise.resolve(missing(missingStores('redis'), SYSLOG_NG)),
  measure,
};

const SYSLOG_NG: readonly DebianPackage[] = [
  { name: 'syslog-ng-core', command: ['syslog-ng', '--version'], prints: /^syslog-ng/ },
  { name: 'syslog-ng-mod-redis', command: ['syslog-ng', '--version'], prints: /^Available-Modules:.*\bredis\b/m },
];

const SENDER = nodeCommand(new URL('sender.ts', import.meta.url));
const LIST = 'changes';
const WARM_UP_CHANGES = 20_000;
const POLL_MS = 5;
/** A message that is lost would be waited for without end. */
const IDLE_LIMIT_MS = 20_000;

/** Counts messages, from the first that is sent to the last that is in the list. */
async function measure(workload: Workload): Promise<Measurement> {
  await using closing = new AsyncDisposableStack();
  const server = closing.adopt(await startQueueRedis(), (it) => it.close());
  const redis = closing.adopt(new Redis(server.port, '127.0.0.1'), (it) => it.disconnect());
  const { port } = closing.use(await startSyslogNg(server.port, LIST));
  await pass(redis, port, firstChanges(workload, WARM_UP_CHANGES));
  return await pass(redis, port, [...changesOf(workload)]);
}

async function pass(redis: Redis, port: number, changes: readonly Item[]): Promise<Measurement> {
  await redis.del(LIST);
  await using file = await writeChanges(changes);
  await using sender = await startProgram(SENDER, { CHANGES: file.path, SYSLOG_PORT: String(port) });
  const startMs = performance.now();
  sender.begin();
  const [endMs] = await Promise.all([stored(redis, changes.length), sender.done]);
  const found = await redis.lrange(LIST, 0, -1);
  const wrong = found.findIndex((line, index) => line !== JSON.stringify(changes[index]));
  if (wrong >= 0) throw new Error(`the list has ${found[wrong]} instead of ${JSON.stringify(changes[wrong])}`);
  return { count: changes.length, seconds: (endMs - startMs) / 1000 };
}

/** When the list had `count` elements. */
async function stored(redis: Redis, count: number): Promise<number> {
  let length = 0;
  let movedMs = performance.now();
  for (;;) {
    const now = await redis.llen(LIST);
    const nowMs = performance.now();
    if (now >= count) return nowMs;
    if (now !== length) movedMs = nowMs;
    if (nowMs - movedMs > IDLE_LIMIT_MS) throw new Error(`syslog-ng stored ${now} of ${count} messages`);
    length = now;
    await delay(POLL_MS);
  }
}
