import { mkdirSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { count, textTable } from '../../src/cli/text.ts';
import { eventually } from '../../test/support/eventually.ts';
import type { Comparison, Watch } from '../comparison.ts';
import { cpuSecondsOf } from '../processor-time.ts';
import { figureText } from '../report/text.ts';
import type { SynclineServer } from '../syncline/server.ts';
import type { ThreadFigures } from './probe.ts';
import { selfTimes, type CpuProfile, type SelfTime } from './self-time.ts';
import { IDLE, STAGE_NAMES, stageTimes } from './stages.ts';

const PROBE = new URL('probe.ts', import.meta.url).href;
/** Modules that are shown of each thread. */
const SHOWN_MODULES = 25;
/** Threads that are busy write their profiles as soon as they get to it. */
const WRITE_TIMEOUT_MS = 20_000;
const WRITE_GRACE_MS = 500;

export interface ProfileOptions {
  readonly scale: number;
  /** Where profiles are written; a temporary folder when it is left out. */
  readonly folder: string | undefined;
  readonly print: (line: string) => void;
}

/** Measures our side of a comparison once under the profiler, and prints where its time went. Resolves with the exit code. */
export async function profile({ name, sides: [side] }: Comparison, { scale, folder: wanted, print }: ProfileOptions): Promise<number> {
  const missing = side === undefined ? 'nothing to profile' : await side.missing();
  if (side === undefined || missing !== undefined) {
    print(`${name} cannot be profiled: ${missing}`);
    return 1;
  }
  const folder = wanted ?? mkdtempSync(join(tmpdir(), `syncline-profile-${name}-`));
  mkdirSync(folder, { recursive: true });
  const probe = new Probe(folder);
  const figures = await side.measure(scale, probe);
  const measured = Object.entries(figures).map(([figure, value]) => `${figureText(value)} ${figure}`);
  print(`${name} under the profiler: ${measured.join(', ')}\n`);
  printCounts(probe, print);
  const threads = readThreads(folder);
  printStages(threads, probe.changes, print);
  for (const thread of threads) printModules(thread, probe.changes, print);
  print(`profiles for a browser's developer tools: ${folder}/*.cpuprofile`);
  return 0;
}

/** Switches the probe in the server on and off, and reads its metrics before and after. */
class Probe implements Watch {
  readonly nodeOptions = ['--import', PROBE];
  readonly env: Readonly<Record<string, string>>;
  readonly #folder: string;
  #before: ReadonlyMap<string, number> = new Map();
  #after: ReadonlyMap<string, number> = new Map();
  #startedMs = 0;
  #startedCpuSeconds = 0;
  elapsedMs = 0;
  cpuSeconds = 0;

  constructor(folder: string) {
    this.#folder = folder;
    this.env = { BENCH_PROFILE_FOLDER: folder };
  }

  async begin(server: SynclineServer): Promise<void> {
    this.#before = await server.metrics();
    process.kill(server.pid, 'SIGUSR2');
    await delay(WRITE_GRACE_MS);
    this.#startedMs = performance.now();
    this.#startedCpuSeconds = cpuSecondsOf(server.pid);
  }

  async end(server: SynclineServer): Promise<void> {
    this.elapsedMs = performance.now() - this.#startedMs;
    this.cpuSeconds = cpuSecondsOf(server.pid) - this.#startedCpuSeconds;
    process.kill(server.pid, 'SIGUSR2');
    // Counters of the doors are carried over once a second.
    await delay(2 * WRITE_GRACE_MS);
    this.#after = await server.metrics();
    await eventually(() => {
      if (profilesIn(this.#folder).length < 2) throw new Error('the threads of the server have not written their profiles');
    }, WRITE_TIMEOUT_MS);
    await delay(WRITE_GRACE_MS);
  }

  /** By how much a figure of the metrics grew. */
  grown(name: string): number {
    return (this.#after.get(name) ?? 0) - (this.#before.get(name) ?? 0);
  }

  /** Changes that were applied or, where nothing was, frames that were stored. */
  get changes(): number {
    return this.grown('syncline_applied_changes_total') || this.grown('syncline_stored_frames_total');
  }
}

function printCounts(probe: Probe, print: (line: string) => void): void {
  const outcomes = ['applied', 'blocked', 'failed'] as const;
  const slices = outcomes.map((outcome) => probe.grown(`syncline_slice_seconds_count{outcome="${outcome}"}`));
  const sliceSeconds = probe.grown('syncline_slice_seconds_sum{outcome="applied"}');
  const changes = probe.grown('syncline_applied_changes_total');
  print(
    textTable(
      ['what', 'figure'],
      [
        ['frames stored', count(probe.grown('syncline_stored_frames_total'))],
        ['changes applied', count(changes)],
        ...outcomes.map((outcome, i) => [`slices ${outcome}`, count(slices[i] ?? 0)]),
        ...(changes > 0 && slices[0]
          ? [
              ['changes per slice', figureText(changes / slices[0])],
              ['ms per slice, fetch to commit', figureText((sliceSeconds / slices[0]) * 1000)],
            ]
          : []),
        ['slices at a time', figureText((sliceSeconds * 1000) / probe.elapsedMs)],
        ['processor time, % of a core', figureText((probe.cpuSeconds * 100_000) / probe.elapsedMs)],
      ],
    ),
  );
  print('');
}

interface ThreadProfile extends ThreadFigures {
  readonly times: readonly SelfTime[];
}

function profilesIn(folder: string): string[] {
  return readdirSync(folder).filter((name) => name.endsWith('.cpuprofile'));
}

function readThreads(folder: string): ThreadProfile[] {
  return profilesIn(folder)
    .sort()
    .map((name) => {
      const figures = JSON.parse(readFileSync(join(folder, name.replace('.cpuprofile', '.json')), 'utf8')) as ThreadFigures;
      return { ...figures, times: selfTimes(JSON.parse(readFileSync(join(folder, name), 'utf8')) as CpuProfile) };
    });
}

/** What a change goes through, over all threads; waiting is no work. */
function printStages(threads: readonly ThreadProfile[], changes: number, print: (line: string) => void): void {
  const perThread = threads.map(({ times }) => new Map(stageTimes(times).map(({ stage, us }) => [stage, us])));
  const stages = new Set(perThread.flatMap((times) => [...times.keys()]));
  const rows = STAGE_NAMES.filter((stage) => stages.has(stage)).map((stage) => {
    const times = perThread.map((thread) => thread.get(stage) ?? 0);
    const total = times.reduce((sum, us) => sum + us, 0);
    return [stage, ...times.map((us) => count(us / 1000)), stage === IDLE ? '' : perChange(total, changes)];
  });
  print(textTable(['stage', ...threads.map(({ thread }) => `${thread} ms`), 'µs per change'], rows));
  print('');
}

function printModules({ thread, delayMs, times }: ThreadProfile, changes: number, print: (line: string) => void): void {
  const totalUs = times.reduce((sum, { us }) => sum + us, 0);
  const rows = times.slice(0, SHOWN_MODULES).map(({ module, us, nativeUs }) => {
    const share = `${((us / totalUs) * 100).toFixed(1)} %`;
    return [module, count(us / 1000), count(nativeUs / 1000), share, perChange(us, changes)];
  });
  const [p50, p99, max] = [delayMs.p50, delayMs.p99, delayMs.max].map((ms) => `${figureText(ms)} ms`);
  print(`${thread}: delay of the event loop p50 ${p50}, p99 ${p99}, max ${max}`);
  print(textTable(['module', 'self ms', 'of it native', 'share', 'µs per change'], rows));
  print('');
}

function perChange(us: number, changes: number): string {
  return changes > 0 ? (us / changes).toFixed(3) : '';
}
