import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { DrillPlan } from './drill-plans.ts';
import type { Installation } from './failpoints.ts';
import { FaultWorld, missingFor } from './fault-world.ts';
import { faultsOf, runScenario, strike } from './run-scenario.ts';
import type { Scenario } from './scenario.ts';
import { SCENARIOS } from './scenarios.ts';

const SEED = 1;
/** Per fault: most take one or two seconds. */
const FAULT_TIMEOUT_MS = 40_000;

/**
 * Runs scenarios as tests. Those that need nothing of their own share one system under load: a fault must also be survived
 * after all those before it. `drill.ts` runs them alone, and as often as one likes.
 */
export function testScenarios(installation: Installation, plan: DrillPlan): void {
  const missing = missingFor(installation);
  const scenarios = Object.keys(plan).map((name) => {
    const scenario = SCENARIOS.find((one) => one.name === name && one.installation === installation);
    if (scenario === undefined) throw new Error(`there is no scenario "${name}" with the ${installation} installation`);
    return scenario;
  });
  const countOf = ({ name }: Scenario) => plan[name] as number;

  describe.skipIf(missing !== undefined)(`a client with a spool streams through the ${installation} installation`, () => {
    let world: FaultWorld;

    beforeAll(async () => {
      world = await FaultWorld.start(installation);
    });
    afterAll(() => world?.close());

    for (const scenario of scenarios.filter(({ ground }) => ground === undefined)) {
      const count = countOf(scenario);
      test(`${scenario.what}, ${count} times`, { timeout: count * FAULT_TIMEOUT_MS }, async () => {
        expect((await strike(world, scenario, count, SEED)).trouble).toEqual([]);
      });
    }

    test('afterwards every row is there exactly once and in order', { timeout: 120_000 }, async () => {
      const audit = await world.audit();
      // All of a large number would hide the first.
      expect(faultsOf(audit).slice(0, 20)).toEqual([]);
      expect(audit.sent).toBeGreaterThan(1000);
    });
  });

  for (const scenario of scenarios.filter(({ ground }) => ground !== undefined)) {
    const count = countOf(scenario);
    test.skipIf(missing !== undefined)(
      `${scenario.what}, ${count} times`,
      { timeout: 60_000 + count * FAULT_TIMEOUT_MS },
      async (context) => {
        const outcome = await runScenario(scenario, count, SEED);
        if ('skipped' in outcome) return context.skip(outcome.skipped);
        expect(faultsOf(outcome.audit).slice(0, 20)).toEqual([]);
      },
    );
  }
}
