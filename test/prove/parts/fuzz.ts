import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { missingFor } from '../../fault/fault-world.ts';
import { FRAMES_IN_VERIFY, type FuzzReport, SOCKETS_IN_VERIFY } from '../../fuzz/fuzz-report.ts';
import { addFigures } from '../figures.ts';
import { runForked } from '../forked.ts';
import type { Figures, PartResult, ProofPart, Slice } from '../part.ts';

const RUN = fileURLToPath(new URL('../../fuzz/run.ts', import.meta.url));
/** Inputs come in cases of so many; a share begins with a case. */
const CASE_INPUTS = 64;

export const FUZZ_FRAMES: ProofPart = {
  name: 'fuzz-frames',
  title: 'frames that nobody should send, through decoders and sessions',
  unit: 'inputs',
  target: 20_000_000,
  inVerify: FRAMES_IN_VERIFY,
  sliceCount: 15_625 * CASE_INPUTS,
  rerun: 'npm run prove -- --part fuzz-frames',
  sources: ['test/fuzz', 'test/support', 'test/vectors'],
  run: (slice) => runFuzz('frames', slice, availableParallelism()),
};

/** In one process: the server that is sent to has cores of its own. */
export const FUZZ_SOCKETS: ProofPart = {
  name: 'fuzz-sockets',
  title: 'frames, messages and requests that nobody should send, over sockets to a server, beside a client that behaves',
  unit: 'inputs',
  target: 1_000_000,
  inVerify: SOCKETS_IN_VERIFY,
  sliceCount: 3_125 * CASE_INPUTS,
  rerun: 'npm run prove -- --part fuzz-sockets',
  sources: ['test/fuzz', 'test/fault', 'test/support', 'test/vectors'],
  missing: () => missingFor('services'),
  run: (slice) => runFuzz('sockets', slice, 1),
};

async function runFuzz(fuzz: 'frames' | 'sockets', slice: Slice, processCount: number): Promise<PartResult> {
  const { from, count, signal, progress } = slice;
  const share = Math.ceil(count / processCount / CASE_INPUTS) * CASE_INPUTS;
  const starts = Array.from({ length: Math.ceil(count / share) }, (_, i) => from + i * share);
  const doneBy = starts.map(() => 0);
  const runs = starts.map(async (start, i) => {
    const inputs = `${start}..${Math.min(start + share, from + count) - 1}`;
    const report = await runForked<FuzzReport>(RUN, ['--fuzz', fuzz, '--inputs', inputs], signal, (done) => {
      doneBy[i] = done;
      progress(doneBy.reduce((sum, n) => sum + n, 0));
    });
    return { report, rerun: `node test/fuzz/run.ts --fuzz ${fuzz} --inputs ${inputs}` };
  });
  let figures: Figures = {};
  let done = 0;
  const violations = [];
  for (const [i, { report, rerun }] of (await Promise.all(runs)).entries()) {
    if (report === undefined) return { done: 0, violations: [], figures: {} };
    // A share that ended early because promises were broken has a gap behind what it did.
    if (done === i * share) done += report.done;
    violations.push(...report.violations.map((what) => ({ what, rerun })));
    figures = addFigures(figures, {
      connections: report.connections,
      ...(report.accepted > 0 ? { 'batches accepted': report.accepted } : {}),
    });
  }
  return { done: Math.min(done, count), violations, figures };
}
