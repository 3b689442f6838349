/**
 * `node test/prove/run-worlds.ts --set NAME [--worlds FROM..TO] [--step N] [--trace] [--json]`: runs these variants of a
 * short history, or each N-th of them, and prints those that broke a promise; with `--trace` all that happens in them.
 * `--json` prints a line for each instead. Ends with 1 if a promise was broken.
 */
import { commandLine } from '../support/command-line.ts';
import { runItems } from './run-items.ts';
import { WORLD_SETS, type WorldSet } from './world-sets.ts';

const USAGE = `usage: npm run small-worlds -- [--set ${Object.keys(WORLD_SETS).join('|')}] [--worlds FROM..TO] [--step N] [--trace] [--json]`;

const values = commandLine(USAGE, {
  set: { type: 'string', default: 'single' },
  worlds: { type: 'string' },
  step: { type: 'string', default: '1' },
  trace: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
});
const sets: Readonly<Record<string, () => Promise<WorldSet>>> = WORLD_SETS;
const open = sets[values.set];
if (open === undefined) throw new Error(`there is no set "${values.set}"; there are ${Object.keys(sets).join(', ')}`);
const set = await open();
const { count, broken } = await runItems(
  { range: values.worlds ?? `1..${set.count}`, step: values.step, noun: 'world', as: values.json ? 'lines' : 'text', until: 'end' },
  async (item) => {
    const { what, history } = await set.run(item, values.trace ? (line) => console.log(line) : undefined);
    return { violations: history.violations.map((violation) => `${what}: ${violation}`), figures: { events: history.events } };
  },
);
if (!values.json) console.log(`${count} histories, ${broken} broken`);
