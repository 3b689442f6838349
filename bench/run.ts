/**
 * `npm run bench`: what Syncline is held against, a load generator for any server, profiles and micro-benches.
 *
 * - `comparisons.ts` lists what is compared, and what is claimed of it; `contender.ts` and `workload.ts` say what a side is given
 * - `syncline/` our side, `limits/` what the parts can do alone, `peers/` what people use today
 * - `services/` private servers, `load/` what sends, `check/` whether it arrived, `report/` what is printed and published
 * - `profile/` where the time goes, `micro/` what each piece of code takes, `connections/` what those cost that send nothing, `flood/` those
 *   that mean harm
 */
import { compare } from './compare.ts';
import type { Comparison } from './comparison.ts';
import { comparisons } from './comparisons.ts';
import { measureConnections } from './connections/connections.ts';
import { measureFlood } from './flood/flood.ts';
import { runLoad } from './load/load.ts';
import { micros, runMicros } from './micro/run-micros.ts';
import { profile } from './profile/profile.ts';
import { readOptions, USAGE, UsageError, type BenchOptions } from './options.ts';

const args = process.argv.slice(2);
/** The default comes first. Comparisons that differ only in what they are held against are the same case. */
const PROFILES = ['updates', 'inserts', 'hot-keys', 'frames-8k', 'frames-100', 'backlog', 'latency', 'idle', 'embedded'];
process.exit(await main().catch(failed));

async function main(): Promise<number> {
  let options: BenchOptions;
  try {
    options = readOptions(args, {
      comparisons: comparisons.map(({ name }) => name),
      profiles: PROFILES,
      micros: micros.map(({ name }) => name),
    });
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`bench: ${error.message}; --help shows what there is`);
    return 2;
  }
  if (options.mode === 'help') {
    console.log(`${USAGE}\ncomparisons: ${comparisons.map(({ name }) => name).join(', ')}`);
    return 0;
  }
  if (options.mode === 'micro') return runMicros(options.name, console.log);
  if (options.mode === 'connections') return measureConnections(options.connections, console.log);
  if (options.mode === 'flood') return measureFlood(options.scale, console.log);
  if (options.mode === 'load') return runLoad(options, { print: console.log, stop: interrupted() });
  // Whatever was started ends with this process, if it ends in order.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));
  if (options.mode === 'compare') return compare(options, ['npm run bench', ...(args.length > 0 ? ['--', ...args] : [])].join(' '));
  const chosen = comparisons.find(({ name }) => name === options.name) as Comparison;
  return profile(chosen, { ...options, print: console.log });
}

/** A measurement that failed is no bug of this program: what it says is enough. */
function failed(error: unknown): number {
  console.error(`bench: ${error instanceof Error ? error.message : String(error)}`);
  return 1;
}

/** Aborted by the first signal; the second ends the process, and with it everything that was started. */
function interrupted(): AbortSignal {
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (stop.signal.aborted) process.exit(130);
      stop.abort();
    });
  }
  return stop.signal;
}
