import { describe, expect, test } from 'vitest';
import { redisAvailable } from '../../support/redis-server.ts';
import { DRIVER_SCENARIOS, Stage, type DriverScenario } from './conformance/driver-scenarios.ts';
import { realWorld, simulatedWorld, type DriverWorld } from './conformance/driver-worlds.ts';

describe.skipIf(!redisAvailable())('the simulated driver behaves as ioredis does', () => {
  test.concurrent.each(Object.entries(DRIVER_SCENARIOS))('%s', { retry: 2 }, async (_, scenario) => {
    const [expected, journal] = [await play(scenario, await realWorld()), await play(scenario, await simulatedWorld())];
    expect(journal).toEqual(expected);
  });
});

async function play(scenario: DriverScenario, world: DriverWorld): Promise<string[]> {
  const stage = new Stage(world);
  try {
    await scenario(stage);
    return stage.journal;
  } finally {
    await world.close();
  }
}
