/**
 * `node test/simulation/run.ts [--seeds FROM..TO] [--first] [--trace]`: runs the histories of these seeds and prints those
 * that broke a promise, with `--first` only the first. Ends with 1 if there was one.
 */
import { parseArgs } from 'node:util';
import { simulate } from './simulation.ts';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1..100' },
    trace: { type: 'boolean', default: false },
    // Ends with the first seed that breaks a promise.
    first: { type: 'boolean', default: false },
  },
});
const [from, to = from] = values.seeds.split('..').map(Number);
const started = performance.now();
let current = 0;
// An assertion that fails ends the process that it is in: here that is all of them.
for (const event of ['uncaughtException', 'unhandledRejection'] as const) process.on(event, ended);
let [count, events, virtualMs, batches, changes, faults, broken] = [0, 0, 0, 0, 0, 0, 0];
for (let seed = from!; seed <= to!; seed++) {
  count++;
  current = seed;
  const history = await simulate({ seed, ...(values.trace ? { trace: (line: string) => console.log(line) } : {}) });
  events += history.events;
  virtualMs += history.virtualMs;
  batches += history.batches;
  changes += history.changes;
  faults += history.faults;
  if (history.violations.length > 0) {
    broken++;
    console.log(`seed ${seed}: ${history.violations.join('\n  ')}`);
    if (values.first) break;
  }
}

const seconds = (performance.now() - started) / 1000;
console.log(
  `${count} histories, ${broken} broken; ${(virtualMs / 3_600_000).toFixed(1)} virtual hours, ${batches} batches, ${changes} changes, ${faults} faults, ${events} events; ${(count / seconds).toFixed(1)} histories/s`,
);
process.exitCode = broken > 0 ? 1 : 0;

function ended(error: unknown): void {
  console.log(`seed ${current}: a process ended: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  process.exit(1);
}
