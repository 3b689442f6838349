import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LAST_SCENARIOS, SCENARIOS, type Scenario } from './conformance/scenarios.ts';
import { runSequence } from './conformance/sequences.ts';
import { comparable, realSubject, simulatedSubject, type Subject } from './conformance/subjects.ts';

const SEQUENCES = 600;

describe.skipIf(!comparable())('the simulated Redis answers as Redis 7.0 does', () => {
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

  test.each(['default', 'memory', 'MEMORY', 'server', 'replication', 'persistence', 'none'])(
    'in INFO %s, where a queue looks',
    async (section) => {
      await real.execute('CONFIG', 'SET', 'maxmemory-policy', 'volatile-ttl');
      await simulated.execute('CONFIG', 'SET', 'maxmemory-policy', 'volatile-ttl');
      expect(await fieldsOf(simulated, section)).toEqual(await fieldsOf(real, section));
    },
  );

  test.each(Object.entries(LAST_SCENARIOS))('in a last scenario: %s', async (_, scenario) => {
    const [spoilt, alsoSpoilt] = [await realSubject(), await simulatedSubject()];
    try {
      const expected = await runScenario(scenario, spoilt);
      expect(expected.some((line) => / → -(READONLY|MISCONF|LOADING) /.test(line))).toBe(true);
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

/** The fields of INFO that are the same on every server that was treated equally; of the others, that they are there. */
async function fieldsOf(subject: Subject, section: string): Promise<unknown> {
  const { reply } = await subject.execute('INFO', section);
  const fields = new Map((reply as string).split('\r\n').map((line) => [line.split(':', 1)[0]!, line.slice(line.indexOf(':') + 1)]));
  const same = ['redis_mode', 'maxmemory', 'maxmemory_policy', 'loading', 'rdb_last_bgsave_status', 'aof_enabled'];
  return {
    version: fields.get('redis_version')?.replace(/^(\d+\.\d+)\..*/, '$1'),
    ...Object.fromEntries([...same, 'role', 'connected_slaves'].map((name) => [name, fields.get(name)])),
    others: ['used_memory', 'run_id', 'master_replid', 'master_repl_offset'].map((name) => fields.has(name)),
  };
}
