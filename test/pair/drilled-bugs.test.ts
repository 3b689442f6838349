import { describe, expect, test } from 'vitest';
import { faultsOf } from '../fault/run-scenario.ts';
import { patchedEnv, type SourcePatch } from '../support/source-patches.ts';
import { PAIR_SCENARIOS } from './pair-scenarios.ts';
import { missingForPair } from './pair-parts.ts';
import { runPairScenario } from './run-pair-scenario.ts';

/** A mistake in the product, and a scenario of a pair that has to find it. */
interface Catch {
  readonly scenario: string;
  readonly bug: string;
  readonly patches: readonly Omit<SourcePatch, 'name'>[];
  /** What the first fault that is found says. */
  readonly finding: RegExp;
}

/** How long nothing may move: what a bug stops need not be waited for as long as what a machine is slow with. */
const PATIENCE_MS = 12_000;
const SEED = 1;

const CATCHES: readonly Catch[] = [
  {
    scenario: 'pair-zombie',
    bug: 'whoever takes over leaves the connections of the frozen node alone, and so does the database',
    patches: [
      { file: 'src/sinks/mysql/fence.ts', find: 'await connection.run(`KILL CONNECTION ${Number(id)}`);', replace: '' },
      { file: 'src/sinks/mysql/session.ts', find: 'const IDLE_TRANSACTION_S = 10;', replace: 'const IDLE_TRANSACTION_S = 600;' },
      { file: 'src/sinks/mysql/session.ts', find: 'const SILENCE_S = 15;', replace: 'const SILENCE_S = 600;' },
    ],
    finding: /nothing is applied/,
  },
];

describe.skipIf(missingForPair() !== undefined)('drills of a pair find what is planted', () => {
  for (const { scenario: name, bug, patches, finding } of CATCHES) {
    test(`${name}: ${bug}`, { timeout: 180_000 }, async (context) => {
      const scenario = PAIR_SCENARIOS.find((one) => one.name === name);
      if (scenario === undefined) throw new Error(`there is no scenario "${name}"`);
      const outcome = await runPairScenario(scenario, 1, SEED, {
        world: { env: patchedEnv(patches.map((patch) => ({ name: bug, ...patch }))), patienceMs: PATIENCE_MS },
      });
      if ('skipped' in outcome) return context.skip(outcome.skipped);
      expect(faultsOf(outcome.audit).slice(0, 20).join('\n')).toMatch(finding);
    });
  }
});
