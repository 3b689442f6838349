/**
 * `node test/prove/run-worlds.ts --set NAME [--worlds FROM..TO] [--step N] [--trace] [--json]`: runs these variants of a
 * short history, or each N-th of them, and prints those that broke a promise; with `--trace` all that happens in them.
 * `--json` prints a line for each instead. Ends with 1 if a promise was broken.
 */
import { parseArgs } from 'node:util';
import type { ItemReport } from './shares.ts';
import { WORLD_SETS, type WorldSet } from './world-sets.ts';

const { values } = parseArgs({
  options: {
    set: { type: 'string', default: 'single' },
    worlds: { type: 'string' },
    step: { type: 'string', default: '1' },
    trace: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
});
const sets: Readonly<Record<string, () => Promise<WorldSet>>> = WORLD_SETS;
const open = sets[values.set];
if (open === undefined) throw new Error(`there is no set "${values.set}"; there are ${Object.keys(sets).join(', ')}`);
const set = await open();
const [from, to = from] = (values.worlds ?? `1..${set.count}`).split('..').map(Number);
let current = 0;
for (const event of ['uncaughtException', 'unhandledRejection'] as const) process.on(event, ended);
let [count, broken] = [0, 0];
for (let item = from!; item <= to!; item += Number(values.step)) {
  count++;
  current = item;
  const { what, history } = await set.run(item, values.trace ? (line) => console.log(line) : undefined);
  if (history.violations.length > 0) broken++;
  report({
    item,
    violations: history.violations.map((violation) => `${what}: ${violation}`),
    figures: { events: history.events },
  });
}
if (!values.json) console.log(`${count} histories, ${broken} broken`);
process.exitCode = broken > 0 ? 1 : 0;

function report(item: ItemReport): void {
  if (values.json) console.log(JSON.stringify(item));
  else if (item.violations.length > 0) console.log(`world ${item.item}: ${item.violations.join('\n  ')}`);
}

function ended(error: unknown): void {
  report({
    item: current,
    violations: [`a process ended: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`],
    figures: {},
  });
  process.exit(1);
}
