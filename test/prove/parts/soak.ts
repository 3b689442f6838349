import { fileURLToPath } from 'node:url';
import { missingFor } from '../../fault/fault-world.ts';
import { MIN_MINUTES, type SoakReport } from '../../soak/soak-report.ts';
import { runForked } from '../forked.ts';
import type { PartResult, ProofPart, Slice } from '../part.ts';

const RUN = fileURLToPath(new URL('../../soak/run.ts', import.meta.url));

/** An item is a minute. Slices are long, because what grows slowly shows in no short one. */
export const SOAK: ProofPart = {
  name: 'soak',
  title: 'an installation under load, with a fault every 20 seconds; nothing may grow',
  unit: 'minutes',
  target: 120,
  inVerify: 0,
  sliceCount: 60,
  rerun: 'npm run prove -- --part soak',
  sources: ['test/soak', 'test/fault', 'test/support'],
  missing: () => missingFor('services'),
  run,
};

async function run({ from, count, signal, progress }: Slice): Promise<PartResult> {
  if (count < MIN_MINUTES) throw new Error(`in less than ${MIN_MINUTES} minutes nothing shows that grows`);
  const args = ['--minutes', String(count), '--seed', String(from)];
  const report = await runForked<SoakReport>(RUN, args, signal, progress);
  if (report === undefined) return { done: 0, violations: [], figures: {} };
  const { violations, faults, audit, longestWaitMs } = report;
  const rerun = `node test/soak/run.ts ${args.join(' ')}`;
  return {
    // It ends at the first promise that is broken.
    done: Math.max(1, Math.min(count, Math.floor(report.minutes))),
    violations: violations.map((what) => ({ what, rerun })),
    figures: {
      faults: Object.values(faults).reduce((sum, n) => sum + n, 0),
      'rows sent': audit.sent,
      'rows applied': audit.applied,
      'rows refused': audit.deadLetters,
      'longest wait in s': Math.round(longestWaitMs / 100) / 10,
    },
  };
}
