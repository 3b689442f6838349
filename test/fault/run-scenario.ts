import { setTimeout as delay } from 'node:timers/promises';
import { messageOf } from '../../src/core/errors.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import type { Audit } from '../support/rows-audit.ts';
import { FaultWorld, missingFor, type WorldOptions } from './fault-world.ts';
import type { Scenario } from './scenario.ts';

const SUPERVISION_MS = 250;

/** What came of a scenario. */
export interface Outcome {
  readonly scenario: string;
  readonly what: string;
  readonly seed: number;
  /** Faults that were injected and survived. */
  readonly struck: number;
  readonly audit: Audit;
  readonly longestWaitMs: number;
  /** How often the server ended by itself and was started again; only where the scenario allows it. */
  readonly restartCount: number;
  readonly tookMs: number;
}

export interface Skipped {
  readonly scenario: string;
  readonly skipped: string;
}

export interface RunOptions {
  /** For the installation. */
  readonly world?: WorldOptions;
  /** Told how many faults were injected so far. */
  readonly progress?: (struck: number) => void;
}

/** Injects `count` faults into an installation of its own, and audits it at the end. */
export async function runScenario(
  scenario: Scenario,
  count: number,
  seed: number,
  { world: options = {}, progress }: RunOptions = {},
): Promise<Outcome | Skipped> {
  const missing = missingFor(scenario.installation);
  if (missing !== undefined) return { scenario: scenario.name, skipped: missing };
  const ground = scenario.ground?.();
  if (ground !== undefined && 'unavailable' in ground) return { scenario: scenario.name, skipped: ground.unavailable };
  const startedMs = performance.now();
  try {
    const world = await FaultWorld.start(scenario.installation, { ...options, ...ground?.options });
    try {
      const { struck, trouble } = await strike(world, scenario, count, seed, progress);
      const audit = await world.audit().catch((error: unknown) => {
        throw new Error(`${scenario.name} cannot be audited: ${messageOf(error)} ${trouble.join(' ')}`, { cause: error });
      });
      return {
        scenario: scenario.name,
        what: scenario.what,
        seed,
        struck,
        audit: { ...audit, other: [...trouble, ...audit.other] },
        longestWaitMs: world.longestWaitMs,
        restartCount: world.restartCount,
        tookMs: performance.now() - startedMs,
      };
    } finally {
      await world.close();
    }
  } finally {
    ground?.remove();
  }
}

/** Injects `count` faults, each into a system that applies rows; stops at the first that it does not recover from. */
export async function strike(
  world: FaultWorld,
  scenario: Scenario,
  count: number,
  seed: number,
  progress?: (struck: number) => void,
): Promise<{ readonly struck: number; readonly trouble: readonly string[] }> {
  world.supervised = scenario.supervised === true;
  for (let round = 0; round < count; round++) {
    try {
      await supervised(world, scenario.strike(world, { seed, round, random: new SeededRandom(seed * 1_000_003 + round) }));
      await world.advance();
      progress?.(round + 1);
    } catch (error) {
      // Rows that are on their way because the server is not started again are not lost.
      world.supervised = true;
      return { struck: round, trouble: [`fault ${round + 1} (seed ${seed}): ${messageOf(error)}`] };
    }
  }
  // It may end of what was done to it at any later time, and whoever comes next does not expect that.
  if (scenario.supervised) await world.renewServer();
  return { struck: count, trouble: [] };
}

/** Lets a fault happen to a server that may end of the one before meanwhile: nothing would happen to one that is not there. */
async function supervised(world: FaultWorld, struck: Promise<void>): Promise<void> {
  const happened = struck.then(() => true);
  while (!(await Promise.race([happened, delay(SUPERVISION_MS, false)]))) await world.supervise();
}

export function faultsOf({ lost, duplicated, outOfOrder, other }: Audit): string[] {
  return [...other, ...lost, ...duplicated, ...outOfOrder];
}

/** One line for people. */
export function summaryOf(outcome: Outcome | Skipped): string {
  if ('skipped' in outcome) return `${outcome.scenario}: skipped, ${outcome.skipped}`;
  const { scenario, what, struck, audit, longestWaitMs, restartCount } = outcome;
  const { sent, applied, deadLetters, lost, duplicated, outOfOrder, other } = audit;
  return (
    `${scenario}: ${what}, ${struck} times; ${sent} rows sent, ${applied} applied, ${deadLetters} refused, ` +
    `${lost.length} lost, ${duplicated.length} duplicated, ${outOfOrder.length} out of order${other.length > 0 ? `, ${other.length} OTHER FAULTS` : ''}; ` +
    (restartCount > 0 ? `the server ended by itself ${restartCount} times; ` : '') +
    `longest wait until applied again ${(longestWaitMs / 1000).toFixed(1)} s`
  );
}
