import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PAIR_PLANS, type DrillPlan } from '../fault/drill-plans.ts';
import { faultsOf } from '../fault/run-scenario.ts';
import type { PairScenario } from './pair-scenario.ts';
import { PAIR_SCENARIOS } from './pair-scenarios.ts';
import { missingForPair, type PairOptions } from './pair-parts.ts';
import { PairWorld } from './pair-world.ts';
import { strikePair } from './run-pair-scenario.ts';

const SEED = 1;
/** Per fault, and for a world to start: a machine that has much to do takes its time. */
const PATIENCE_MS = 120_000;

const missing = missingForPair();

for (const plan of PAIR_PLANS) {
  const scenarios = Object.keys(plan).map(scenarioOf);
  // What each of them needs, all need to bear.
  const options = Object.assign({}, ...scenarios.map(({ world }) => world)) as PairOptions;

  describe.skipIf(missing !== undefined)(`clients stream through a balancer to ${options.nodes ?? 2} nodes, ${options.mode}`, () => {
    let world: PairWorld;

    beforeAll(async () => {
      world = await PairWorld.start(options);
    }, PATIENCE_MS);
    afterAll(() => world?.close());

    for (const scenario of scenarios) {
      test(testName(scenario, plan), { timeout: PATIENCE_MS }, async () => {
        expect((await strikePair(world, scenario, plan[scenario.name] as number, SEED)).trouble).toEqual([]);
      });
    }

    test('afterwards every row is there exactly once and in order', { timeout: PATIENCE_MS }, async () => {
      const audit = await world.audit();
      // All of a large number would hide the first.
      expect(faultsOf(audit).slice(0, 20)).toEqual([]);
      expect(audit.sent).toBeGreaterThan(1000);
    });
  });
}

function scenarioOf(name: string): PairScenario {
  const scenario = PAIR_SCENARIOS.find((one) => one.name === name);
  if (scenario === undefined) throw new Error(`there is no scenario "${name}" of a pair`);
  return scenario;
}

function testName({ name, what }: PairScenario, plan: DrillPlan): string {
  const count = plan[name] as number;
  return count === 1 ? what : `${what}, ${count} times`;
}
