import { freePort } from '../../test/support/free-port.ts';
import { checkQueuedChanges } from '../check/queue-contents.ts';
import type { Figures, Side } from '../comparison.ts';
import { startRowSender } from '../load/row-sender.ts';
import type { RowPlan } from '../load/row-sender-messages.ts';
import { watchCores } from '../processor-time.ts';
import { type ScaledWorkload, warmUpWorkload } from '../scaled-workload.ts';
import { missingRedis, startQueueRedis } from '../services/redis.ts';
import { CONNECTIONS } from './installation.ts';
import { startServer } from './server.ts';

const TITLES = {
  http: 'HTTP, NDJSON without an end that is rendered beforehand',
  sdk: 'the SDK over TCP, upsert() for each row',
} as const;

/** Rows from a program to stored in Redis, while the sink is away: by what programs have, and not by frames that were made beforehand. */
export function rowsStored(by: RowPlan['by'], workloadFor: ScaledWorkload): Side {
  return {
    name: by,
    title: `Syncline, ${CONNECTIONS} connections, ${TITLES[by]}`,
    missing: missingRedis,
    async measure(scale, watch): Promise<Figures> {
      const redis = await startQueueRedis();
      try {
        const nobody = `mysql://root@127.0.0.1:${await freePort()}/bench`;
        // What is not applied is held by whoever sent it: over HTTP that is the server.
        const env = { SYNCLINE_QUEUE: redis.url, SYNCLINE_SINK: nobody, SYNCLINE_WEB_BUFFER_BYTES: '8GiB' };
        const server = await startServer({ env, watch });
        try {
          const { host, token } = server;
          const to = { by, host, port: by === 'http' ? server.webPort : server.port, token, connections: CONNECTIONS };
          const first = warmUpWorkload(scale);
          const warmUp = await startRowSender({ ...to, table: 'warm_up', workload: first });
          await warmUp.send();
          warmUp.close();
          const workload = workloadFor(scale);
          const sender = await startRowSender({ ...to, table: 'item', workload });
          await watch?.begin(server);
          const cores = watchCores({ server: server.pid, redis: redis.pid });
          const { seconds, cpuSeconds } = await sender.send();
          const used = cores({ sender: cpuSeconds });
          await watch?.end(server);
          sender.close();
          await checkQueuedChanges(redis, first.changes + workload.changes);
          return { 'rows/s': workload.changes / seconds, ...used };
        } finally {
          await server.close();
        }
      } finally {
        await redis.close();
      }
    },
  };
}
