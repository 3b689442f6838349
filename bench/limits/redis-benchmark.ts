import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Figures, Side } from '../comparison.ts';
import { watchCores } from '../processor-time.ts';
import { missingRedis, startQueueRedis } from '../services/redis.ts';

export interface RedisBenchmarkOptions {
  /** Of each value. */
  readonly bytes: number;
  readonly pipeline: number;
  count(scale: number): number;
}

/** Redis' own benchmark, pushing values of one size to one list. */
export function redisBenchmark({ bytes, pipeline, count: countFor }: RedisBenchmarkOptions): Side {
  const options = ['-t', 'rpush', '-d', String(bytes), '-P', String(pipeline), '-c', String(CLIENTS)];
  return {
    name: 'redis-benchmark',
    title: `redis-benchmark ${options.join(' ')}, AOF every second`,
    missing: missingRedis,
    async measure(scale): Promise<Figures> {
      const count = countFor(scale);
      const redis = await startQueueRedis();
      try {
        const run = async (requests: number): Promise<number> => {
          const { stdout } = await promisify(execFile)('redis-benchmark', [
            '-p',
            String(redis.port),
            ...options,
            '-n',
            String(requests),
            '--csv',
          ]);
          const rate = Number(/^"RPUSH[^"]*","([\d.]+)"/m.exec(stdout)?.[1]);
          if (!(rate > 0)) throw new Error(`redis-benchmark printed no rate: ${stdout}`);
          return rate;
        };
        await run(Math.ceil(count / 10));
        await redis.command('DEL', LIST);
        const cores = watchCores({ redis: redis.pid });
        const rate = await run(count);
        const used = cores();
        const length = Number((await redis.command('LLEN', LIST)).slice(1));
        // It fills up the last round of its pipelines.
        if (length < count || length >= count + CLIENTS * pipeline)
          throw new Error(`redis-benchmark was to push ${count} values, and the list has ${length}`);
        return { 'frames/s': rate, 'MB/s': (rate * bytes) / 1e6, ...used };
      } finally {
        await redis.close();
      }
    },
  };
}

const CLIENTS = 8;
/** Where redis-benchmark pushes to. */
const LIST = 'mylist';
