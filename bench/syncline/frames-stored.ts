import { freePort } from '../../test/support/free-port.ts';
import { checkQueue } from '../check/queue-contents.ts';
import type { Figures, Side } from '../comparison.ts';
import { watchCores } from '../processor-time.ts';
import { missingRedis, startQueueRedis } from '../services/redis.ts';
import { senderTo } from './installation.ts';
import { startServer } from './server.ts';

/** Frames that are all alike. */
export interface FrameLoad {
  readonly payloadBytes: number;
  count(scale: number): number;
}

/**
 * Frames from the sender's socket to stored in Redis. The sink is away, which the server is made for, so that nothing is
 * applied meanwhile.
 */
export function framesStored({ payloadBytes, count }: FrameLoad): Side {
  return {
    name: 'syncline',
    title: `Syncline, 8 connections, frames of one change and ${payloadBytes.toLocaleString('en-US')} bytes, Redis with AOF every second`,
    missing: missingRedis,
    async measure(scale, watch): Promise<Figures> {
      const redis = await startQueueRedis();
      try {
        const nobody = `mysql://root@127.0.0.1:${await freePort()}/bench`;
        const server = await startServer({ env: { SYNCLINE_QUEUE: redis.url, SYNCLINE_SINK: nobody }, watch });
        try {
          const load = (frames: number) => senderTo(server, { kind: 'blobs', frames, payloadBytes });
          const warmUp = await load(Math.ceil(count(scale) / 10));
          warmUp.go();
          await warmUp.stored();
          warmUp.close();
          const sender = await load(count(scale));
          await watch?.begin(server);
          const cores = watchCores({ server: server.pid, redis: redis.pid });
          sender.go();
          const { seconds, cpuSeconds } = await sender.stored();
          const used = cores({ sender: cpuSeconds });
          await watch?.end(server);
          sender.close();
          await checkQueue(redis, { frames: warmUp.frames + sender.frames, crcSum: warmUp.crcSum + sender.crcSum });
          return { 'frames/s': sender.frames / seconds, 'MB/s': sender.bytes / seconds / 1e6, ...used };
        } finally {
          await server.close();
        }
      } finally {
        await redis.close();
      }
    },
  };
}
