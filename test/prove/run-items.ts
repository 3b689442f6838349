import { addFigures } from './figures.ts';
import type { Figures } from './part.ts';
import type { ItemReport } from './shares.ts';

/** Items that a process is to do, as its arguments say. */
export interface Order {
  /** `FROM..TO`, or one item. */
  readonly range: string;
  /** Each N-th of them. */
  readonly step: string;
  /** What an item is called: "seed". */
  readonly noun: string;
  /** `lines`: one of JSON for each item. `text`: those that broke a promise, for people. */
  readonly as: 'lines' | 'text';
  /** Whether the first that breaks a promise is the last. */
  readonly until: 'end' | 'broken';
}

/** What came of them. */
export interface Sums {
  readonly count: number;
  readonly broken: number;
  readonly figures: Figures;
}

/**
 * Does the items of an order one after the other, tells of each, and sets the exit code to 1 if a promise was broken. An
 * assertion that fails ends the process that it is in, here this one, which then tells of that first.
 */
export async function runItems(
  { range, step, noun, as, until }: Order,
  run: (item: number) => Promise<Omit<ItemReport, 'item'>>,
): Promise<Sums> {
  if (!/^\d+(\.\.\d+)?$/.test(range)) throw new Error(`${range} is no range of ${noun}s; write FROM..TO, or one`);
  if (!(Number(step) >= 1)) throw new Error(`--step must be a number from 1 up, not ${step}`);
  const [from, to = from] = range.split('..').map(Number);
  if (to! < from!) throw new Error(`the range ${range} holds no ${noun}`);
  let current = 0;
  const report = (item: ItemReport) => {
    if (as === 'lines') console.log(JSON.stringify(item));
    else if (item.violations.length > 0) console.log(`${noun} ${item.item}: ${item.violations.join('\n  ')}`);
  };
  const ended = (error: unknown) => {
    const what = `a process ended: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`;
    report({ item: current, violations: [what], figures: {} });
    process.exit(1);
  };
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) process.on(event, ended);
  let [count, broken] = [0, 0];
  let figures: Figures = {};
  for (let item = from!; item <= to!; item += Number(step)) {
    count++;
    current = item;
    const done = await run(item);
    figures = addFigures(figures, done.figures);
    report({ item, ...done });
    if (done.violations.length === 0) continue;
    broken++;
    if (until === 'broken') break;
  }
  process.exitCode = broken > 0 ? 1 : 0;
  return { count, broken, figures };
}
