import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { comparisons } from './comparisons.ts';
import type { CompareOptions } from './options.ts';
import { describeMachine, describeOccasion } from './report/machine.ts';
import { publish, resultsJson } from './report/publish.ts';
import { resultOf, type ComparisonResult } from './report/results.ts';
import { comparisonText } from './report/text.ts';
import { runRounds } from './rounds.ts';

const DOCS = fileURLToPath(new URL('../docs', import.meta.url));

/** Above this load for each core, others take part in what is measured. */
const BUSY_SHARE = 0.25;

/** Runs the comparisons, prints each as it ends, and writes what was asked for. Resolves with the exit code. */
export async function compare(options: CompareOptions, command: string): Promise<number> {
  const { quick } = options;
  const machine = describeMachine();
  const occasion = describeOccasion(command);
  if (occasion.load > machine.cores * BUSY_SHARE)
    console.error(`the machine is busy (load ${occasion.load.toFixed(1)} on ${machine.cores} cores): what is measured now says little`);
  const done: ComparisonResult[] = [];
  for (const comparison of comparisons.filter(({ name }) => options.only?.includes(name) ?? true)) {
    const rounds = await runRounds(comparison, {
      pairs: options.pairs ?? comparison.pairs[quick ? 'quick' : 'full'],
      scale: options.scale ?? (quick ? comparison.quickScale : 1),
      note: (line) => console.error(line),
    });
    const result = resultOf(rounds, occasion);
    done.push(result);
    console.log(`${comparisonText(result)}\n`);
    // After each: a measurement that fails ends the run, and what was found before it stands.
    if (options.json !== undefined) writeFileSync(options.json, resultsJson({ quick, machine, comparisons: done }));
  }
  if (quick) console.log('A quick run: it shows that everything works, not how fast it is.');
  if (options.publish) {
    publish(
      { quick, machine, comparisons: done },
      DOCS,
      comparisons.map(({ name }) => name),
    );
    console.log('docs/performance.json, docs/performance.md and docs/performance/*.svg are written');
  }
  return 0;
}
