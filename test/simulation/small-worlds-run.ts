/**
 * `node test/simulation/small-worlds-run.ts [--singles] [--pairs FROM..TO] [--stride N] [--count] [--json]`: runs the
 * small history with every single fault, or with the pairs of these numbers (from 0), each or every Nth of them, and prints
 * each that broke a promise. `--count` says how many pairs there are. `--faults 'KIND at N, KIND at N'` runs one of them line by line. Ends with 1 if a promise was broken.
 */
import { parseArgs } from 'node:util';
import { Pairs } from './small-world-pairs.ts';
import { type FaultKind, type PlannedFault, singleFaults, withFaults } from './small-worlds.ts';

const { values } = parseArgs({
  options: {
    singles: { type: 'boolean', default: false },
    pairs: { type: 'string' },
    stride: { type: 'string', default: '1' },
    count: { type: 'boolean', default: false },
    faults: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
});

/** What was run, and what came of it. */
interface Sums {
  readonly worlds: number;
  readonly broken: number;
  readonly events: number;
  readonly seconds: number;
}

const started = performance.now();
let [worlds, broken, events] = [0, 0, 0];
let current = 'nothing';
// An assertion that fails ends the process that it is in: here that is all of them.
for (const event of ['uncaughtException', 'unhandledRejection'] as const)
  process.on(event, (error: unknown) => {
    console.error(`${current}: a process ended: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    process.exit(1);
  });

if (values.faults !== undefined) await run('', parse(values.faults), (line) => console.log(line));
if (values.singles) for (const fault of await singleFaults()) await run('', [fault]);
if (values.pairs !== undefined) {
  const pairs = await Pairs.enumerate();
  const [from = 0, to = from] = values.pairs.split('..').map(Number);
  for (let index = from; index <= Math.min(to, pairs.count - 1); index += Number(values.stride))
    await run(`pair ${index}: `, pairs.at(index));
}
if (values.count) console.log((await Pairs.enumerate()).count);
else {
  const sums: Sums = { worlds, broken, events, seconds: (performance.now() - started) / 1000 };
  if (values.json) console.log(JSON.stringify(sums));
  else
    console.log(
      `${worlds} small worlds, ${broken} broken; ${events} events; ${sums.seconds.toFixed(0)} s, ${(worlds / sums.seconds).toFixed(0)} worlds/s`,
    );
}
process.exitCode = broken > 0 ? 1 : 0;

async function run(index: string, faults: readonly PlannedFault[], trace?: (line: string) => void): Promise<void> {
  current = `${index}${faults.map(({ at, kind }) => `${kind} at ${at}`).join(', ')}`;
  const { history } = await withFaults(faults, trace);
  worlds++;
  events += history.events;
  if (history.violations.length === 0) return;
  broken++;
  console.error(`${current}: ${history.violations.join('\n  ')}`);
}

function parse(text: string): PlannedFault[] {
  return text.split(', ').map((part) => {
    const [, kind, at] = /^(.+) at (\d+)$/.exec(part) ?? [];
    if (kind === undefined) throw new Error(`no fault: ${part}`);
    return { kind: kind as FaultKind, at: Number(at) };
  });
}
