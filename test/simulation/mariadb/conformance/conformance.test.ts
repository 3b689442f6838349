import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { mariadbAvailable, startMariadb, type MariadbServer } from '../../../support/mariadb-server.ts';
import { generatedScript } from './generated.ts';
import { SCENARIOS } from './scenarios.ts';
import { SESSION_SCENARIOS } from './session-scenarios.ts';
import { runScript, type Script, type Trace } from './script.ts';
import { realSubject, simulatedSubject } from './subject.ts';

/** Random scripts, in tests of so many. */
const GENERATED = 320;
const PER_TEST = 20;
/** Of several that one event wakes any may be first: so many orders are tried. */
const MAX_ORDERS = 50;
/** A real server chooses by statistics and by the schedule of its threads: where one run differs, another may agree. */
const MAX_RUNS = 15;

// `mariadbAvailable` throws when CI lacks it.
describe.skipIf(!mariadbAvailable())('the simulated MariaDB does what a real one does (skipped where mariadbd is not installed)', () => {
  let server: MariadbServer;
  beforeAll(async () => {
    server = await startMariadb();
  });
  afterAll(async () => {
    await server.close();
  });

  async function expectConformance(script: Script): Promise<void> {
    let real: Trace = [];
    let simulated: Trace = [];
    for (let run = 1; run <= MAX_RUNS; run++) {
      real = await runOnRealServer(script);
      for (let seed = 1; seed <= MAX_ORDERS; seed++) {
        simulated = await runScript(script, await simulatedSubject(script.tables, seed));
        if (simulated.join('\n') === real.join('\n')) return;
      }
    }
    expect(simulated).toEqual(real);
  }

  async function runOnRealServer(script: Script): Promise<Trace> {
    const subject = await realSubject(server, script.tables);
    try {
      return await runScript(script, subject);
    } finally {
      await subject.close();
    }
  }

  test.for(Object.entries({ ...SCENARIOS, ...SESSION_SCENARIOS }))('%s', async ([, script]) => {
    await expectConformance(script);
  });

  test.for(Array.from({ length: GENERATED / PER_TEST }, (_, i) => 1 + i * PER_TEST))(
    `random scripts from seed %i on, ${PER_TEST} of them`,
    { timeout: 120_000 },
    async (first) => {
      for (let seed = first; seed < first + PER_TEST; seed++) await expectConformance(generatedScript(seed));
    },
  );
});
