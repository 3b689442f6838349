import { SEGMENT_BYTES } from '../../src/client/generation.ts';
import type { Sample } from './soak-report.ts';

/** A process that has just started grows to what it needs. */
const WARM_UP_S = 120;
const CLIENT_WARM_UP_S = 60;
/** Fewer samples say nothing. */
const MIN_SAMPLES = 18;
/** Between the median of the first third and that of the last. */
const MAX_GROWTH = 0.1;
const MAX_GROWTH_MIB = 16;
/** At quiet points: connections to queue and database come and go, and the pool keeps a few more or less of them. */
const MAX_MORE_DESCRIPTORS = 8;
const MAX_QUIET_REDIS_MIB = 8;
/** A spool keeps its newest file until that is full. */
const MAX_QUIET_SPOOL_MIB = SEGMENT_BYTES / (1024 * 1024) + 2;

/** What grows in these samples, sentence by sentence. Each process is judged for itself. */
export function growthOf(samples: readonly Sample[]): string[] {
  const found: string[] = [];
  for (const [pid, own] of Map.groupBy(samples, ({ serverPid }) => serverPid)) {
    const steady = own.filter(({ isQuiet, serverAgeS }) => !isQuiet && serverAgeS > WARM_UP_S);
    found.push(
      ...memoryGrowth(
        `the server (process ${pid})`,
        steady.map(({ serverRssMib }) => serverRssMib),
      ),
    );
    found.push(
      ...descriptorGrowth(
        `the server (process ${pid})`,
        own.filter(({ isQuiet }) => isQuiet).map((sample) => sample.serverDescriptors),
      ),
    );
  }
  found.push(...clientGrowth(samples));
  const quiet = samples.filter(({ isQuiet }) => isQuiet);
  for (const { atS, queued, redisMib, spoolMib } of quiet) {
    if (queued > 0) found.push(`${queued} batches are queued at second ${atS}, when everything is applied`);
    if (redisMib > (quiet[0]?.redisMib ?? 0) + MAX_QUIET_REDIS_MIB)
      found.push(`Redis holds ${redisMib.toFixed(1)} MiB at second ${atS}, when nothing is queued`);
    if (spoolMib > MAX_QUIET_SPOOL_MIB) found.push(`a spool holds ${spoolMib.toFixed(1)} MiB at second ${atS}, when everything is applied`);
  }
  return found;
}

/** At every quiet point clients leave, and come back as new processes: what grows in each of their lives is looked for in all of them together. */
function clientGrowth(samples: readonly Sample[]): string[] {
  const lives: number[][] = [];
  let bornS = 0;
  let life: number[] = [];
  for (const { atS, isQuiet, clientRssMib } of samples) {
    if (isQuiet) {
      lives.push(life);
      life = [];
      bornS = atS;
    } else if (clientRssMib > 0 && atS - bornS > CLIENT_WARM_UP_S) life.push(clientRssMib);
  }
  lives.push(life);
  const thirds = lives.map((mib) => Math.floor(mib.length / 3));
  return growth(
    'a client',
    lives.flatMap((mib, i) => mib.slice(0, thirds[i])),
    lives.flatMap((mib, i) => mib.slice(mib.length - thirds[i]!)),
  );
}

function memoryGrowth(who: string, mib: readonly number[]): string[] {
  const third = Math.floor(mib.length / 3);
  return growth(who, mib.slice(0, third), mib.slice(mib.length - third));
}

/** Medians, because a fault now and then makes a process hold more for a moment. */
function growth(who: string, early: readonly number[], late: readonly number[]): string[] {
  if (early.length < MIN_SAMPLES / 3) return [];
  const [first, last] = [median(early), median(late)];
  if (last <= first * (1 + MAX_GROWTH) + MAX_GROWTH_MIB) return [];
  return [`${who} grows: ${first.toFixed(0)} MiB in the first third of its samples, ${last.toFixed(0)} MiB in the last`];
}

function descriptorGrowth(who: string, counts: readonly number[]): string[] {
  const [first] = counts;
  const last = counts.at(-1);
  if (first === undefined || last === undefined || last <= first + MAX_MORE_DESCRIPTORS) return [];
  return [`${who} has ${last} descriptors open at its last quiet point, ${first} at its first`];
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? 0;
}
