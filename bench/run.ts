/**
 * `npm run bench`: what Syncline is held against, a load generator for any server, profiles and micro-benches.
 *
 * - `comparisons.ts` lists what is compared, and what is claimed of it; `contender.ts` and `workload.ts` say what a side is given
 * - `syncline/` our side, `limits/` what the parts can do alone, `peers/` what people use today
 * - `services/` private servers, `load/` what sends, `check/` whether it arrived, `report/` what is printed and published
 * - `profile/` where the time goes, `micro/` what each piece of code takes
 */
import { compare } from './compare.ts';
import { comparisons } from './comparisons.ts';
import { readOptions, USAGE, UsageError, type BenchOptions } from './options.ts';

const args = process.argv.slice(2);
// Processes that were started end with this one.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));
process.exit(await main());

async function main(): Promise<number> {
  let options: BenchOptions;
  try {
    options = readOptions(args, { comparisons: comparisons.map(({ name }) => name), profiles: ['updates'], micros: ['scan'] });
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`bench: ${error.message}; --help shows what there is`);
    return 2;
  }
  if (options.mode === 'help') {
    console.log(`${USAGE}\ncomparisons: ${comparisons.map(({ name }) => name).join(', ')}`);
    return 0;
  }
  if (options.mode === 'compare') return compare(options, ['npm run bench', ...(args.length > 0 ? ['--', ...args] : [])].join(' '));
  throw new Error(options.mode);
}
