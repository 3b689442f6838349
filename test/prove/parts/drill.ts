import { fileURLToPath } from 'node:url';
import { EMBEDDED_PLAN, KILL_PLAN, NETWORK_PLAN, PAIR_PLANS } from '../../fault/drill-plans.ts';
import { missingFor } from '../../fault/fault-world.ts';
import { faultsOf, type Outcome, type Skipped } from '../../fault/run-scenario.ts';
import { SCENARIOS } from '../../fault/scenarios.ts';
import { PAIR_SCENARIOS } from '../../pair/pair-scenarios.ts';
import { missingForPair } from '../../pair/pair-parts.ts';
import type { PairOutcome } from '../../pair/run-pair-scenario.ts';
import { runForked } from '../forked.ts';
import type { Figures, PartResult, ProofPart, Slice } from '../part.ts';

export interface DrillOptions {
  readonly name: string;
  /** Which scenario it is, when it has another name. */
  readonly scenario?: string;
  readonly unit: string;
  readonly target: number;
  readonly sliceCount: number;
}

const DRILL = fileURLToPath(new URL('../../fault/drill.ts', import.meta.url));
/** Of one slice: all of a large number would hide the first. */
const MAX_VIOLATIONS = 20;

/** The faults of a scenario, injected into real processes: a slice is one installation with so many of them, and its audit. */
export function drill({ name, scenario: scenarioName = name, ...rest }: DrillOptions): ProofPart {
  const scenario = SCENARIOS.find((one) => one.name === scenarioName);
  if (scenario === undefined) throw new Error(`there is no scenario "${scenarioName}"`);
  const inVerify = { ...KILL_PLAN, ...NETWORK_PLAN, ...EMBEDDED_PLAN }[scenarioName] ?? 0;
  const part = partOf({ name, scenario: scenarioName, ...rest }, scenario.what, inVerify);
  return { ...part, sources: ['test/fault', 'test/support'], missing: () => missingFor(scenario.installation) };
}

/** The same for two nodes behind a balancer. */
export function pairDrill({ name, scenario: scenarioName = name, ...rest }: DrillOptions): ProofPart {
  const scenario = PAIR_SCENARIOS.find((one) => one.name === scenarioName);
  if (scenario === undefined) throw new Error(`there is no scenario "${scenarioName}" of a pair`);
  const inVerify = Object.assign({}, ...PAIR_PLANS)[scenarioName] ?? 0;
  const part = partOf({ name, scenario: scenarioName, ...rest }, scenario.what, inVerify);
  return {
    ...part,
    sources: ['test/pair', 'test/fault', 'test/support', 'haproxy.cfg'],
    missing: () => missingForPair() ?? scenario.missing?.(),
  };
}

type Common = Omit<ProofPart, 'sources' | 'missing'>;

function partOf({ name, scenario, unit, target, sliceCount }: Required<DrillOptions>, title: string, inVerify: number): Common {
  return {
    name,
    title,
    unit,
    target,
    inVerify,
    sliceCount,
    rerun: `npm run drill -- --scenario ${scenario} --count ${target}`,
    run: (slice) => runSlice(scenario, slice),
  };
}

async function runSlice(scenario: string, { from, count, signal, progress }: Slice): Promise<PartResult> {
  // The first number is the seed: every slice has another.
  const args = ['--scenario', scenario, '--count', String(count), '--seed', String(from)];
  const outcomes = await runForked<readonly (Outcome | PairOutcome | Skipped)[]>(DRILL, args, signal, progress);
  // Before the audit at the end, nothing is known about any of them.
  if (outcomes === undefined) return { done: 0, violations: [], figures: {} };
  const [outcome] = outcomes;
  if (outcome === undefined || 'skipped' in outcome) throw new Error(`the drill was skipped: ${outcome?.skipped}`);
  return resultOf(outcome, `npm run drill -- ${args.join(' ')}`, count);
}

function resultOf(outcome: Outcome | PairOutcome, rerun: string, count: number): PartResult {
  const { struck, audit, longestWaitMs } = outcome;
  const faults = faultsOf(audit);
  return {
    // The one that was not survived was done as well.
    done: Math.min(count, faults.length > 0 ? struck + 1 : struck),
    violations: faults.slice(0, MAX_VIOLATIONS).map((what) => ({ what, rerun })),
    figures: {
      'rows sent': audit.sent,
      'rows refused': audit.deadLetters,
      'longest wait in s': Math.round(longestWaitMs / 100) / 10,
      ...('strikes' in outcome ? timesOf(outcome) : {}),
    },
  };
}

function timesOf({ reach, strikes }: PairOutcome): Figures {
  const name = reach.of === 'recovery' ? 'ms until applied again' : 'ms at a standstill';
  return { [`${name} (reach: ${reach.text})`]: strikes.map(({ ms }) => ms) };
}
