import { freePort } from '../../test/support/free-port.ts';
import { checkQueue } from '../check/queue-contents.ts';
import type { Figures, Side } from '../comparison.ts';
import type { Material } from '../load/record-tapes.ts';
import { watchCores } from '../processor-time.ts';
import { missingRedis, startQueueRedis } from '../services/redis.ts';
import type { Door } from './doors.ts';
import { senderTo } from './installation.ts';
import { startServer } from './server.ts';

export interface StoredOptions {
  readonly name?: string;
  /** What is sent, in at most 50 characters. */
  readonly what: string;
  /** Its name in titles is that of the engine; TCP when left out. */
  readonly door?: Door;
  material(scale: number): Material;
}

/** How much of the work is sent before it is measured. */
const WARM_UP_SHARE = 0.1;

/**
 * Frames from the sender's socket to stored in Redis. The sink is away, which the server is made for, so that nothing is
 * applied meanwhile. Where changes are sent, they are counted as `rows/s` too.
 */
export function framesStored({ name = 'syncline', what, door, material }: StoredOptions): Side {
  return {
    name,
    title: `Syncline, 8 connections${door === undefined ? '' : ` over ${door.title}`}, ${what}, Redis with AOF every second`,
    missing: async () => (await missingRedis()) ?? door?.missing(),
    async measure(scale, watch): Promise<Figures> {
      const redis = await startQueueRedis();
      try {
        const nobody = `mysql://root@127.0.0.1:${await freePort()}/bench`;
        const server = await startServer({ env: { SYNCLINE_QUEUE: redis.url, SYNCLINE_SINK: nobody }, ...door?.server(), watch });
        const carrier = door?.carrier ?? 'tcp';
        try {
          const warmUp = await senderTo(server, material(scale * WARM_UP_SHARE), { carrier });
          warmUp.go();
          await warmUp.stored();
          warmUp.close();
          const measured = material(scale);
          const sender = await senderTo(server, measured, { carrier });
          await watch?.begin(server);
          const cores = watchCores({ server: server.pid, redis: redis.pid });
          sender.go();
          const { seconds, cpuSeconds } = await sender.stored();
          const used = cores({ sender: cpuSeconds });
          await watch?.end(server);
          sender.close();
          await checkQueue(redis, { frames: warmUp.frames + sender.frames, crcSum: warmUp.crcSum + sender.crcSum });
          const rows = measured.kind === 'items' ? { 'rows/s': measured.workload.changes / seconds } : {};
          return { ...rows, 'frames/s': sender.frames / seconds, 'MB/s': sender.bytes / seconds / 1e6, ...used };
        } finally {
          await server.close();
        }
      } finally {
        await redis.close();
      }
    },
  };
}
