/**
 * `node test/simulation/run.ts [--seeds FROM..TO] [--step N] [--first] [--trace] [--json]`: runs the histories of these seeds,
 * or of each N-th of them, and prints those that broke a promise, with `--first` only the first, and the sums. `--json` prints
 * a line for each history instead. Ends with 1 if a promise was broken.
 */
import { parseArgs } from 'node:util';
import { addFigures } from '../prove/figures.ts';
import type { Figures } from '../prove/part.ts';
import type { ItemReport } from '../prove/shares.ts';
import { simulate, type History } from './simulation.ts';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1..100' },
    step: { type: 'string', default: '1' },
    trace: { type: 'boolean', default: false },
    // Ends with the first seed that breaks a promise.
    first: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
});
const [from, to = from] = values.seeds.split('..').map(Number);
const startedMs = performance.now();
let current = 0;
// An assertion that fails ends the process that it is in: here that is all of them.
for (const event of ['uncaughtException', 'unhandledRejection'] as const) process.on(event, ended);
let [count, broken] = [0, 0];
let sums: Figures = {};
for (let seed = from!; seed <= to!; seed += Number(values.step)) {
  count++;
  current = seed;
  const history = await simulate({ seed, ...(values.trace ? { trace: (line: string) => console.log(line) } : {}) });
  const figures = figuresOf(history);
  sums = addFigures(sums, figures);
  report({ item: seed, violations: history.violations, figures });
  if (history.violations.length > 0) {
    broken++;
    if (values.first) break;
  }
}
if (!values.json) console.log(summary());
process.exitCode = broken > 0 ? 1 : 0;

function figuresOf({ batches, changes, faults, events, virtualMs }: History): Figures {
  return { batches, changes, faults, events, 'virtual hours': virtualMs / 3_600_000 };
}

function report(item: ItemReport): void {
  if (values.json) console.log(JSON.stringify(item));
  else if (item.violations.length > 0) console.log(`seed ${item.item}: ${item.violations.join('\n  ')}`);
}

function summary(): string {
  const figures = Object.entries(sums).map(([name, value]) => `${Math.round(Number(value) * 10) / 10} ${name}`);
  const rate = (count / (performance.now() - startedMs)) * 1000;
  return `${count} histories, ${broken} broken; ${figures.join(', ')}; ${rate.toFixed(1)} histories/s`;
}

function ended(error: unknown): void {
  const what = `a process ended: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`;
  report({ item: current, violations: [what], figures: {} });
  process.exit(1);
}
