/**
 * Injects faults into real processes under load, as often as one likes, and audits what became of every row:
 *
 *     node test/fault/drill.ts --scenario NAME --count N [--seed S] [--json FILE]
 *
 * `--scenario` may come several times; `all` means every one, `pair` those of two nodes. Without arguments it lists them.
 * Ends with 1 when a promise was broken, or when a pair takes longer than it should.
 */
import { writeFileSync } from 'node:fs';
import { PAIR_SCENARIOS } from '../pair/pair-scenarios.ts';
import { isWithinReach, pairTable } from '../pair/pair-table.ts';
import { runPairScenario, type PairOutcome } from '../pair/run-pair-scenario.ts';
import { commandLine } from '../support/command-line.ts';
import { faultsOf, runScenario, summaryOf, type Outcome, type RunOptions, type Skipped } from './run-scenario.ts';
import { SCENARIOS } from './scenarios.ts';

interface Drill {
  readonly name: string;
  readonly what: string;
  readonly groups: readonly string[];
  run(count: number, seed: number, options: Pick<RunOptions, 'progress'>): Promise<Outcome | PairOutcome | Skipped>;
}

const DRILLS: readonly Drill[] = [
  ...SCENARIOS.map((scenario): Drill => {
    return { ...named(scenario), groups: ['all'], run: (...args) => runScenario(scenario, ...args) };
  }),
  ...PAIR_SCENARIOS.map((scenario): Drill => {
    return { ...named(scenario), groups: ['all', 'pair'], run: (...args) => runPairScenario(scenario, ...args) };
  }),
];
const GROUPS = [
  { name: 'all', what: 'every one of these' },
  { name: 'pair', what: 'every one of two nodes behind a balancer' },
];
/** All of a large number would hide the first. */
const MAX_SHOWN_FAULTS = 20;

const USAGE = [
  'usage: npm run drill -- --scenario NAME... [--count N] [--seed S] [--json FILE]\n',
  ...[...GROUPS, ...DRILLS].map(({ name, what }) => `  ${name.padEnd(26)} ${what}`),
].join('\n');

const values = commandLine(USAGE, {
  scenario: { type: 'string', multiple: true, default: [] },
  count: { type: 'string', default: '10' },
  seed: { type: 'string', default: '1' },
  json: { type: 'string' },
});
// Processes that were started end with this one, and this one with whoever listens to it.
for (const event of ['SIGINT', 'SIGTERM', 'disconnect'] as const) process.on(event, () => process.exit(130));
const exitCode = await main();
// Not left to the event loop: what the faults left behind must not keep the process.
process.exit(exitCode);

async function main(): Promise<number> {
  const [count, seed] = [Number(values.count), Number(values.seed)];
  const isChosen = ({ name, groups }: Drill) => [name, ...groups].some((one) => values.scenario.includes(one));
  const chosen = DRILLS.filter(isChosen);
  const unknown = values.scenario.filter((name) => ![...DRILLS, ...GROUPS].some((one) => one.name === name));
  if (chosen.length === 0 || unknown.length > 0 || !(count >= 1) || !Number.isInteger(seed)) {
    console.error(USAGE);
    return 2;
  }
  const outcomes: (Outcome | PairOutcome | Skipped)[] = [];
  for (const drill of chosen) {
    const outcome = await drill.run(count, seed, { progress: (struck) => process.send?.(struck) });
    outcomes.push(outcome);
    console.error(`${summaryOf(outcome)}${'skipped' in outcome ? '' : ` (${Math.round(outcome.tookMs / 1000)} s)`}`);
    for (const { ms, story } of 'strikes' in outcome ? outcome.strikes : []) if (story !== undefined) console.error(`  ${ms} ms: ${story}`);
    for (const fault of 'skipped' in outcome ? [] : faultsOf(outcome.audit).slice(0, MAX_SHOWN_FAULTS)) console.error(`  ${fault}`);
  }
  for (const outcome of outcomes) console.log(summaryOf(outcome));
  const pairs = outcomes.filter((outcome): outcome is PairOutcome => 'strikes' in outcome);
  if (pairs.length > 0) console.log(`\n${pairTable(pairs)}`);
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(outcomes, undefined, 2)}\n`);
  const isBroken = (outcome: Outcome | Skipped) =>
    !('skipped' in outcome) && (faultsOf(outcome.audit).length > 0 || outcome.struck < count);
  return outcomes.some(isBroken) || !pairs.every(isWithinReach) ? 1 : 0;
}

function named({ name, what }: { readonly name: string; readonly what: string }): { readonly name: string; readonly what: string } {
  return { name, what };
}
