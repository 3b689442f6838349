import { spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { createInterface } from 'node:readline';
import { endWithUs } from '../support/end-with-us.ts';
import { addFigures } from './figures.ts';
import type { Figures, PartResult, Slice } from './part.ts';

/** What a process that does a share prints about an item, one line of JSON each, in the order in which it does them. */
export interface ItemReport {
  readonly item: number;
  /** What is wrong; empty when every promise was kept. */
  readonly violations: readonly string[];
  readonly figures: Figures;
}

export interface Sharing {
  /** Arguments for `node` that do each `step`-th item from `from` to `to`. */
  argsOf(from: number, to: number, step: number): readonly string[];
  /** What an item is called, and the command that does it alone. */
  nameOf(item: number): string;
  rerunOf(item: number): string;
}

/**
 * Does the items of a slice in as many processes as there are cores, which take turns in the items. A process that ends in
 * an item, because an assertion failed in it, is succeeded by one that goes on behind the last item that was told of.
 */
export async function runShares(slice: Slice, sharing: Sharing): Promise<PartResult> {
  const reports = new Map<number, ItemReport>();
  const step = Math.min(availableParallelism(), slice.count);
  const failed = new AbortController();
  const signal = AbortSignal.any([slice.signal, failed.signal]);
  const told = (report: ItemReport) => {
    reports.set(report.item, report);
    slice.progress(reports.size);
  };
  const shares = Array.from({ length: step }, (_, i) => runShare(slice.from + i, slice.from + slice.count - 1, step));
  await Promise.all(shares).catch((error: unknown) => {
    failed.abort();
    throw error;
  });
  return resultOf(slice, reports, sharing);

  async function runShare(from: number, to: number, step: number): Promise<void> {
    let next = from;
    while (next <= to && !signal.aborted) {
      const args = sharing.argsOf(next, to, step);
      const { last, output } = await runProcess(args, signal, told);
      if (signal.aborted) return;
      if (last === undefined) throw new Error(`node ${args.join(' ')} ended without a word about its first item:\n${output}`);
      next = last + step;
    }
  }
}

/** Resolves when it has ended, with the item that it told of last and what else it said. */
async function runProcess(
  args: readonly string[],
  signal: AbortSignal,
  told: (report: ItemReport) => void,
): Promise<{ readonly last: number | undefined; readonly output: string }> {
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  endWithUs(child);
  const stop = () => void child.kill('SIGKILL');
  signal.addEventListener('abort', stop);
  let last: number | undefined;
  let output = '';
  child.stderr.on('data', (chunk: Buffer) => (output = (output + String(chunk)).slice(-10_000)));
  try {
    for await (const line of createInterface(child.stdout)) {
      // The last line of a process that is killed may be torn.
      if (signal.aborted) break;
      const report = JSON.parse(line) as ItemReport;
      last = report.item;
      told(report);
    }
  } finally {
    signal.removeEventListener('abort', stop);
    stop();
  }
  return { last, output };
}

/** Of the items that are finished without a gap from the first on. */
function resultOf({ from, count }: Slice, reports: ReadonlyMap<number, ItemReport>, { nameOf, rerunOf }: Sharing): PartResult {
  let figures: Figures = {};
  const violations = [];
  let done = 0;
  for (let report = reports.get(from); report !== undefined && done < count; report = reports.get(from + done)) {
    done++;
    figures = addFigures(figures, report.figures);
    const [first] = report.violations;
    if (first !== undefined) violations.push({ what: `${nameOf(report.item)}: ${first}`, rerun: rerunOf(report.item) });
  }
  return { done, violations, figures };
}
