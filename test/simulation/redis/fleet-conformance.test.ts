import { describe, expect, test } from 'vitest';
import { FLEET_SCENARIOS, type FleetScenario } from './conformance/fleet-scenarios.ts';
import { FleetScript } from './conformance/fleet-script.ts';
import { realFleet, simulatedFleet, type Fleet } from './conformance/fleet.ts';
import { comparable } from './conformance/subjects.ts';

const SIZE = 2;

describe.skipIf(!comparable())('over several connections and servers the simulated Redis answers as Redis 7.0 does', () => {
  test.each(Object.entries(FLEET_SCENARIOS))('%s', async (_, scenario) => {
    const expected = await play(scenario, await realFleet(SIZE));
    expect(expected.length).toBeGreaterThan(10);
    expect(await play(scenario, await simulatedFleet(SIZE))).toEqual(expected);
  });
});

async function play(scenario: FleetScenario, fleet: Fleet): Promise<string[]> {
  const script = new FleetScript(fleet);
  try {
    await scenario(script);
    return script.transcript;
  } finally {
    await fleet.close();
  }
}
