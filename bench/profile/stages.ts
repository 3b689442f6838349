import type { SelfTime } from './self-time.ts';

/** The stage in which a thread waits. */
export const IDLE = 'idle';
const OTHER = 'everything else';

/** What a change goes through, and the modules that do it: the first pattern that fits decides. */
const STAGES: readonly (readonly [stage: string, modules: RegExp])[] = [
  ['receive: sockets, frames, CRC', /^src\/(ingest\/(tcp|session|receive|proxy)|protocol\/(frame|zstd|limits))/],
  ['check: scan of the payload', /^src\/(protocol\/(scan|value-scan|name-set)|ingest\/payload-check)/],
  ['decode: msgpack to rows', /^src\/(protocol\/|apply\/read-element)/],
  ['append and acknowledge', /^src\/(ingest|core\/(stream|progress))/],
  ['queue: Redis or SQLite, both ways', /^(src\/queue\/|ioredis|redis-|denque)/],
  ['schedule', /^src\/(apply\/(scheduler|pool|partition-work|progress|lease|settled)|cluster|node|admin|core\/clock)/],
  ['resolve and coalesce', /^src\/(apply|core)/],
  ['write: SQL and the database', /^(src\/sinks\/|mysql2|iconv-lite|long|sqlstring|sql-escaper|aws-ssl|lru|named-placeholders)/],
  ['threads: piscina', /^(@napi-rs|piscina)/],
  ['the profiler itself', /^(bench\/|node:inspector)/],
  ['Node itself', /^node:/],
  ['garbage collection', /^\(garbage collector\)$/],
  ['native outside of any function', /^\(native\)$/],
  [IDLE, /^\(idle\)$/],
];

/** In the order in which they are shown. */
export const STAGE_NAMES: readonly string[] = [...STAGES.map(([stage]) => stage), OTHER];

/** Time by stage, µs, in the order of the way of a change. */
export function stageTimes(times: readonly SelfTime[]): { readonly stage: string; readonly us: number }[] {
  const totals = new Map<string, number>(STAGES.map(([stage]) => [stage, 0]));
  for (const { module, us } of times) {
    const stage = STAGES.find(([, modules]) => modules.test(module))?.[0] ?? OTHER;
    totals.set(stage, (totals.get(stage) ?? 0) + us);
  }
  return [...totals].map(([stage, us]) => ({ stage, us })).filter(({ us }) => us > 0);
}
