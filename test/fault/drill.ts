/**
 * Injects faults into real processes under load, as often as one likes, and audits what became of every row:
 *
 *     node test/fault/drill.ts --scenario NAME --count N [--seed S] [--json FILE]
 *
 * `--scenario` may come several times; `all` means every one. Without arguments it lists them.
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { faultsOf, runScenario, summaryOf, type Outcome, type Skipped } from './run-scenario.ts';
import { SCENARIOS } from './scenarios.ts';

/** All of a large number would hide the first. */
const MAX_SHOWN_FAULTS = 20;

const { values } = parseArgs({
  options: {
    scenario: { type: 'string', multiple: true, default: [] },
    count: { type: 'string', default: '10' },
    seed: { type: 'string', default: '1' },
    json: { type: 'string' },
  },
});
// Processes that were started end with this one, and this one with whoever listens to it.
for (const event of ['SIGINT', 'SIGTERM', 'disconnect'] as const) process.on(event, () => process.exit(130));
const exitCode = await main();
// Not left to the event loop: what the faults left behind must not keep the process.
process.exit(exitCode);

async function main(): Promise<number> {
  const [count, seed] = [Number(values.count), Number(values.seed)];
  const chosen = SCENARIOS.filter(({ name }) => values.scenario.includes(name) || values.scenario.includes('all'));
  const unknown = values.scenario.filter((name) => name !== 'all' && !SCENARIOS.some((scenario) => scenario.name === name));
  if (chosen.length === 0 || unknown.length > 0 || !(count >= 1) || !Number.isInteger(seed)) {
    console.error('usage: node test/fault/drill.ts --scenario NAME --count N [--seed S] [--json FILE]\n');
    for (const { name, what } of [{ name: 'all', what: 'every one of these' }, ...SCENARIOS]) console.error(`  ${name.padEnd(26)} ${what}`);
    return 2;
  }
  const outcomes: (Outcome | Skipped)[] = [];
  for (const scenario of chosen) {
    const outcome = await runScenario(scenario, count, seed, (struck) => process.send?.(struck));
    outcomes.push(outcome);
    console.error(`${summaryOf(outcome)}${'skipped' in outcome ? '' : ` (${Math.round(outcome.tookMs / 1000)} s)`}`);
    for (const fault of 'skipped' in outcome ? [] : faultsOf(outcome.audit).slice(0, MAX_SHOWN_FAULTS)) console.error(`  ${fault}`);
  }
  for (const outcome of outcomes) console.log(summaryOf(outcome));
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(outcomes, undefined, 2)}\n`);
  return outcomes.some((outcome) => !('skipped' in outcome) && (faultsOf(outcome.audit).length > 0 || outcome.struck < count)) ? 1 : 0;
}
