import { messageOf } from '../../src/core/errors.ts';
import type { Outcome, RunOptions, Skipped } from '../fault/run-scenario.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { LeadershipWatch, type Leadership } from './leadership-watch.ts';
import type { PairScenario, Reach } from './pair-scenario.ts';
import { missingForPair, type PairOptions } from './pair-parts.ts';
import { PairWorld } from './pair-world.ts';

/** What came of a scenario, and what each strike cost. */
export interface PairOutcome extends Outcome {
  readonly reach: Reach;
  readonly strikes: readonly StrikeCost[];
  readonly leadership?: Leadership;
}

export interface StrikeCost {
  /** What the reach is about. */
  readonly ms: number;
  /** From the strike until a change written after it was applied, on every partition. */
  readonly recoveryMs: number;
  /** The longest that one change took, and that one partition applied nothing. */
  readonly longestWaitMs: number;
  readonly longestStillMs: number;
  /** Events of clients but `connected` and `disconnected`, by name. */
  readonly events: Readonly<Record<string, number>>;
  /** Of one that cost far more than the reach: what was going on. */
  readonly story?: string;
}

/** So many times the reach is far more. */
const FAR = 2;

export interface PairRunOptions extends Pick<RunOptions, 'progress'> {
  /** For the world, beside what the scenario says. */
  readonly world?: Partial<PairOptions>;
}

/** Injects `count` faults into a pair of its own, and audits it at the end. */
export async function runPairScenario(
  scenario: PairScenario,
  count: number,
  seed: number,
  { world: options = {}, progress }: PairRunOptions = {},
): Promise<PairOutcome | Skipped> {
  const missing = missingForPair() ?? scenario.missing?.();
  if (missing !== undefined) return { scenario: scenario.name, skipped: missing };
  const startedMs = performance.now();
  const world = await PairWorld.start({ ...scenario.world, ...options });
  try {
    const watch = scenario.isWatched ? new LeadershipWatch(world) : undefined;
    const { strikes, trouble } = await strikePair(world, scenario, count, seed, progress);
    const leadership = await watch?.stop();
    const audit = await world.audit().catch((error: unknown) => {
      throw new Error(`${scenario.name} cannot be audited: ${messageOf(error)} ${trouble.join(' ')}`, { cause: error });
    });
    return {
      scenario: scenario.name,
      what: scenario.what,
      seed,
      struck: strikes.length,
      audit: { ...audit, other: [...trouble, ...audit.other] },
      longestWaitMs: Math.max(0, ...strikes.map(({ longestWaitMs }) => longestWaitMs)),
      restartCount: 0,
      tookMs: performance.now() - startedMs,
      reach: scenario.reach,
      strikes,
      ...(leadership === undefined ? {} : { leadership }),
    };
  } finally {
    await world.close();
  }
}

/** Injects `count` faults, and repairs after each; stops at the first that the pair does not recover from. */
export async function strikePair(
  world: PairWorld,
  scenario: PairScenario,
  count: number,
  seed: number,
  progress?: (struck: number) => void,
): Promise<{ readonly strikes: readonly StrikeCost[]; readonly trouble: readonly string[] }> {
  const strikes: StrikeCost[] = [];
  for (let round = 0; round < count; round++) {
    try {
      const turn = { seed, round, random: new SeededRandom(seed * 1_000_003 + round) };
      const told = await scenario.strike(world, turn);
      await world.recovered();
      const cost = costOf(world, scenario.reach, told?.countedFromMs ?? world.struckAtMs);
      strikes.push(cost.ms > FAR * scenario.reach.ms ? { ...cost, story: world.describe() } : cost);
      await world.repair();
      progress?.(round + 1);
    } catch (error) {
      const trouble = [`fault ${round + 1} (seed ${seed}): ${messageOf(error)}`];
      // Rows that are on their way because something does not run are not lost.
      await world.repair().catch((failure: unknown) => trouble.push(`it cannot be repaired: ${messageOf(failure)}`));
      return { strikes: strikes.slice(0, round), trouble };
    }
  }
  return { strikes, trouble: unquiet(scenario, strikes) };
}

function costOf(world: PairWorld, { of }: Reach, countedFromMs: number): StrikeCost {
  const { recoveredAtMs = Infinity, longestWaitMs, longestStillMs, events } = world.prober.window;
  return {
    ms: Math.round(of === 'recovery' ? Math.max(0, recoveredAtMs - countedFromMs) : longestStillMs),
    recoveryMs: Math.round(recoveredAtMs - world.struckAtMs),
    longestWaitMs: Math.round(longestWaitMs),
    longestStillMs: Math.round(longestStillMs),
    events,
  };
}

function unquiet({ isQuiet }: PairScenario, strikes: readonly StrikeCost[]): string[] {
  if (!isQuiet) return [];
  return strikes.flatMap(({ events }, i) =>
    Object.entries(events).map(([name, count]) => `fault ${i + 1}: clients were told "${name}" ${count} times`),
  );
}
