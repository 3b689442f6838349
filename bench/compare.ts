import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { comparisons } from './comparisons.ts';
import type { CompareOptions } from './options.ts';
import { describeMachine } from './report/machine.ts';
import { publish, resultsJson } from './report/publish.ts';
import { resultOf, type ComparisonResult } from './report/results.ts';
import { comparisonText } from './report/text.ts';
import { runRounds } from './rounds.ts';

const DOCS = fileURLToPath(new URL('../docs', import.meta.url));

/** Above this load for each core, others take part in what is measured. */
const BUSY_SHARE = 0.25;

/** Runs the comparisons, prints each as it ends, and writes what was asked for. Resolves with the exit code. */
export async function compare(options: CompareOptions, command: string): Promise<number> {
  const chosen = comparisons.filter(({ name }) => options.only?.includes(name) ?? true);
  const machine = describeMachine();
  if (machine.load > machine.cores * BUSY_SHARE)
    console.error(`the machine is busy (load ${machine.load.toFixed(1)} on ${machine.cores} cores): what is measured now says little`);
  const date = new Date().toISOString();
  const done: ComparisonResult[] = [];
  for (const comparison of chosen) {
    const { quick } = options;
    const rounds = await runRounds(comparison, {
      pairs: options.pairs ?? comparison.pairs[quick ? 'quick' : 'full'],
      scale: options.scale ?? (quick ? comparison.quickScale : 1),
      note: (line) => console.error(line),
    });
    const result = resultOf(rounds);
    done.push(result);
    console.log(`${comparisonText(result)}\n`);
  }
  const results = { quick: options.quick, command, date, machine, comparisons: done };
  if (options.quick) console.log('A quick run: it shows that everything works, not how fast it is.');
  if (options.json !== undefined) writeFileSync(options.json, resultsJson(results));
  if (options.publish) {
    publish(results, DOCS);
    console.log('docs/performance.json, docs/performance.md and docs/performance/*.svg are written');
  }
  return 0;
}
