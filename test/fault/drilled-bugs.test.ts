import { describe, expect, test } from 'vitest';
import { PLANTED_BUGS } from '../simulation/planted-bugs.ts';
import { patchedEnv, type SourcePatch } from '../support/source-patches.ts';
import { missingFor } from './fault-world.ts';
import { faultsOf, runScenario } from './run-scenario.ts';
import { SCENARIOS } from './scenarios.ts';

/** A mistake in the product, and a scenario that has to find it. */
interface Catch {
  readonly scenario: string;
  readonly bug: string;
  readonly patches: readonly Omit<SourcePatch, 'name'>[];
  /** After so many faults it must have shown. */
  readonly count: number;
  /** What the first fault that is found says. */
  readonly finding: RegExp;
}

/** How long nothing may move: what a bug stops for ever need not be waited for as long as what a machine is slow with. */
const PATIENCE_MS = 6_000;
const SEED = 3;

const CATCHES: readonly Catch[] = [
  {
    scenario: 'server-stop',
    ...planted('no compare on the watermark: what is stored is applied, whatever the sink has'),
    count: 3,
    // What is applied again may also stop its partition: then not enough is applied any more.
    finding: /took effect|sink_regressed|rows were applied/,
  },
  {
    scenario: 'thread-exit',
    bug: 'a slice whose thread has ended is never answered',
    patches: [
      {
        file: 'src/apply/pool.ts',
        find: '.catch((error: unknown) => tasks.map(() => failed(messageOf(error))));',
        replace: '.catch(() => new Promise<SliceResult[]>(() => {}));',
      },
    ],
    count: 3,
    finding: /rows were applied|nothing moves/,
  },
  {
    scenario: 'client-server-blackhole',
    bug: 'the server waits for a silent client for ever',
    patches: [{ file: 'src/ingest/heartbeat.ts', find: 'if (leftMs <= 0) return this.#events.lost();', replace: '' }],
    count: 3,
    finding: /dead connections are still held by their .*targets/,
  },
  {
    scenario: 'client-old-spool',
    ...planted('no chain: the frames of a restored client pass for duplicates'),
    count: 2,
    finding: /the producer ended|the client ended|is missing/,
  },
  {
    scenario: 'mariadb-disk-full',
    bug: 'a full disk makes dead letters',
    patches: [
      { file: 'src/sinks/mysql/errors.ts', find: '1037, 1038, 1041, 1114, 1135', replace: '1037, 1038, 1041, 1135' },
      { file: 'src/sinks/mysql/errors.ts', find: "['row_too_large', [1118,", replace: "['row_too_large', [1114, 1118," },
    ],
    count: 3,
    finding: /nothing is wrong with are dead letters|rejected row_too_large/,
  },
];

describe.skipIf(missingFor('services') !== undefined)('drills find what is planted', () => {
  for (const { scenario: name, bug, patches, count, finding } of CATCHES) {
    test(`${name}: ${bug}`, { timeout: 120_000 }, async (context) => {
      const scenario = SCENARIOS.find((one) => one.name === name);
      if (scenario === undefined) throw new Error(`there is no scenario "${name}"`);
      const env = patchedEnv(patches.map((patch) => ({ name: bug, ...patch })));
      const outcome = await runScenario(scenario, count, SEED, { world: { serverEnv: env, clientEnv: env, patienceMs: PATIENCE_MS } });
      if ('skipped' in outcome) return context.skip(outcome.skipped);
      expect(faultsOf(outcome.audit).slice(0, 20).join('\n')).toMatch(finding);
    });
  }
});

function planted(name: string): Pick<Catch, 'bug' | 'patches'> {
  const bug = PLANTED_BUGS.find((one) => one.name === name);
  if (bug === undefined) throw new Error(`there is no planted bug "${name}"`);
  return { bug: name, patches: bug.patches };
}
