import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EMBEDDED_PLAN, KILL_PLAN, NETWORK_PLAN } from '../../fault/drill-plans.ts';
import { missingFor } from '../../fault/fault-world.ts';
import { faultsOf, type Outcome, type Skipped } from '../../fault/run-scenario.ts';
import { SCENARIOS } from '../../fault/scenarios.ts';
import type { PartResult, ProofPart, Slice } from '../part.ts';

export interface DrillOptions {
  readonly name: string;
  /** Which scenario it is, when it has another name. */
  readonly scenario?: string;
  readonly unit: string;
  readonly target: number;
  readonly sliceCount: number;
}

const DRILL = new URL('../../fault/drill.ts', import.meta.url).pathname;
/** Of one slice: all of a large number would hide the first. */
const MAX_VIOLATIONS = 20;

/** The faults of a scenario, injected into real processes: a slice is one installation with so many of them, and its audit. */
export function drill({ name, scenario: scenarioName = name, unit, target, sliceCount }: DrillOptions): ProofPart {
  const scenario = SCENARIOS.find((one) => one.name === scenarioName);
  if (scenario === undefined) throw new Error(`there is no scenario "${scenarioName}"`);
  return {
    name,
    title: scenario.what,
    unit,
    target,
    inVerify: { ...KILL_PLAN, ...NETWORK_PLAN, ...EMBEDDED_PLAN }[scenarioName] ?? 0,
    sliceCount,
    rerun: `npm run drill -- --scenario ${scenarioName} --count ${target}`,
    sources: ['test/fault', 'test/support'],
    missing: () => missingFor(scenario.installation),
    run: (slice) => runSlice(scenarioName, slice),
  };
}

/** In a process of its own, with a folder for its files: what is interrupted leaves neither behind. */
async function runSlice(scenario: string, { from, count, signal, progress }: Slice): Promise<PartResult> {
  const folder = mkdtempSync(join(tmpdir(), 'prove-'));
  try {
    const report = join(folder, 'report.json');
    // The first number is the seed: every slice has another.
    const args = ['--scenario', scenario, '--count', String(count), '--seed', String(from)];
    const child = fork(DRILL, [...args, '--json', report], { env: { ...process.env, TMPDIR: folder }, silent: true, detached: true });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (chunk: Buffer) => (output = (output + String(chunk)).slice(-10_000)));
    child.on('message', (struck) => progress(Number(struck)));
    const stop = () => void child.kill('SIGTERM');
    signal.addEventListener('abort', stop);
    await once(child, 'close').finally(() => signal.removeEventListener('abort', stop));
    // Before the audit at the end, nothing is known about any of them.
    if (signal.aborted) return { done: 0, violations: [], figures: {} };
    return resultOf(readOutcome(report, output), `npm run drill -- ${args.join(' ')}`, count);
  } finally {
    // What the processes of the drill had begun to write may still come.
    rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }
}

function readOutcome(report: string, output: string): Outcome {
  let outcome: Outcome | Skipped | undefined;
  try {
    [outcome] = JSON.parse(readFileSync(report, 'utf8')) as (Outcome | Skipped)[];
  } catch {
    throw new Error(`the drill did not come to its end:\n${output}`);
  }
  if (outcome === undefined || 'skipped' in outcome) throw new Error(`the drill was skipped: ${outcome?.skipped}`);
  return outcome;
}

function resultOf({ struck, audit, longestWaitMs }: Outcome, rerun: string, count: number): PartResult {
  const faults = faultsOf(audit);
  return {
    // The one that was not survived was done as well.
    done: Math.min(count, faults.length > 0 ? struck + 1 : struck),
    violations: faults.slice(0, MAX_VIOLATIONS).map((what) => ({ what, rerun })),
    figures: {
      'rows sent': audit.sent,
      'rows refused': audit.deadLetters,
      'longest wait in s': Math.round(longestWaitMs / 100) / 10,
    },
  };
}
