/**
 * Loaded into a server that is profiled, and into its worker threads, by Node's `--import`. The first SIGUSR2 begins, the second
 * ends: each thread then writes a CPU profile and the delay of its event loop. So neither the start nor the warm-up is in it.
 */
import { writeFileSync } from 'node:fs';
import { Session } from 'node:inspector';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { BroadcastChannel, isMainThread, threadId } from 'node:worker_threads';

/** What a thread writes beside its profile. */
export interface ThreadFigures {
  readonly thread: string;
  /** How much later than planned timers ran, in ms. */
  readonly delayMs: { readonly p50: number; readonly p99: number; readonly max: number };
}

/** The variable that names the folder. */
const FOLDER = 'BENCH_PROFILE_FOLDER';
const SAMPLE_US = 500;
/** How often the delay is looked at: seldom enough not to be what an idle server does. */
const DELAY_MS = 5;

const folder = process.env[FOLDER];
const thread = isMainThread ? 'main' : `worker-${threadId}`;
const channel = new BroadcastChannel('syncline-bench-profile');
const delay = monitorEventLoopDelay({ resolution: DELAY_MS });
const session = new Session();

channel.addEventListener('message', () => toggle());
channel.unref();
if (isMainThread) {
  process.on('SIGUSR2', () => {
    channel.postMessage('toggle');
    toggle();
  });
}

let running = false;

function toggle(): void {
  running = !running;
  if (running) begin();
  else end();
}

function begin(): void {
  session.connect();
  session.post('Profiler.enable');
  session.post('Profiler.setSamplingInterval', { interval: SAMPLE_US });
  session.post('Profiler.start');
  delay.enable();
}

function end(): void {
  delay.disable();
  session.post('Profiler.stop', (error, result) => {
    if (error !== null || folder === undefined) throw error ?? new Error(`${FOLDER} is not set`);
    const late = (ns: number) => Math.max(0, ns / 1e6 - DELAY_MS);
    const delayMs = { p50: late(delay.percentile(50)), p99: late(delay.percentile(99)), max: late(delay.max) };
    const figures: ThreadFigures = { thread, delayMs };
    writeFileSync(join(folder, `${thread}.json`), JSON.stringify(figures));
    // Last: whoever waits for it finds both.
    writeFileSync(join(folder, `${thread}.cpuprofile`), JSON.stringify(result.profile));
  });
}
