import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { redisAvailable } from '../../support/redis-server.ts';
import { LAST_SCENARIOS, SCENARIOS, type Scenario } from './conformance/scenarios.ts';
import { runSequence } from './conformance/sequences.ts';
import { realSubject, simulatedSubject, type Subject } from './conformance/subjects.ts';

const SEQUENCES = 600;

describe.skipIf(!redisAvailable())('the simulated Redis answers as Redis 7.0 does', () => {
  let real: Subject;
  let simulated: Subject;
  beforeAll(async () => {
    real = await realSubject();
    simulated = await simulatedSubject();
  });
  afterAll(async () => {
    await real.close();
    await simulated.close();
  });

  test(`to ${SEQUENCES} sequences of commands and scripts`, { timeout: 120_000 }, async () => {
    let answers = 0;
    for (let seed = 1; seed <= SEQUENCES; seed++) {
      const expected = await runSequence(seed, real);
      expect(await runSequence(seed, simulated), `seed ${seed}`).toEqual(expected);
      answers += expected.length;
    }
    expect(answers).toBeGreaterThan(50 * SEQUENCES);
  });

  test.each(Object.entries(SCENARIOS))('in a scenario: %s', async (_, scenario) => {
    const expected = await runScenario(scenario, real);
    expect(expected.length).toBeGreaterThan(5);
    expect(await runScenario(scenario, simulated)).toEqual(expected);
  });

  test.each(Object.entries(LAST_SCENARIOS))('in a last scenario: %s', async (_, scenario) => {
    const [spoilt, alsoSpoilt] = [await realSubject(), await simulatedSubject()];
    try {
      const expected = await runScenario(scenario, spoilt);
      expect(expected.some((line) => / → -(READONLY|MISCONF) /.test(line))).toBe(true);
      expect(await runScenario(scenario, alsoSpoilt)).toEqual(expected);
    } finally {
      await spoilt.close();
    }
  });
});

async function runScenario(scenario: Scenario, subject: Subject): Promise<string[]> {
  const transcript: string[] = [];
  await subject.execute('FLUSHALL');
  await subject.execute('SCRIPT', 'FLUSH');
  await scenario(async (...args) => {
    const { text } = await subject.execute(...args);
    transcript.push(`${args.map((arg) => arg.slice(0, 60)).join(' ')} → ${text}`);
  }, subject);
  return transcript;
}
