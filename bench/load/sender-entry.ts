/** A process that encodes frames beforehand and then plays them; see {@link file://./sender.ts}. */
import { createHistogram } from 'node:perf_hooks';
import { FrameConnection } from './frame-connection.ts';
import { recordTapes } from './record-tapes.ts';
import type { Latency, Mark, SenderCommand, SenderPlan, SenderReport } from './sender-messages.ts';

/** How often a paced sender looks what is due. */
const TICK_MS = 1;
const AT_A_TIME = 50;
/** So many connections come from each address; all of 127.0.0.0/8 is this machine. */
const PER_ADDRESS = 100;

const connections: FrameConnection[] = [];
let plan: SenderPlan | undefined;
let startedMs = 0;
let startedCpu = process.cpuUsage();
let [frames, storedFrames, appliedFrames] = [0, 0, 0];
const latency = createHistogram();
let maxLatenessMs = 0;

process.on('disconnect', () => process.exit(0));
process.on('message', (command: SenderCommand) => {
  if (command.type === 'go') go();
  else prepare(command.plan).catch((error: Error) => fail(error));
});

async function prepare(given: SenderPlan): Promise<void> {
  plan = given;
  const tapes = recordTapes(plan.material, plan.partitions, plan.connections);
  const events = {
    stored: (count: number) => progressed((storedFrames += count), 'stored'),
    applied: (count: number) => progressed((appliedFrames += count), 'applied'),
    failed: fail,
  };
  // A server takes so many at a time from one address before they have said HELLO.
  for (let first = 0; first < tapes.length; first += AT_A_TIME) {
    const some = tapes.slice(first, first + AT_A_TIME).map((tape, i) => new FrameConnection(given, addressOf(first + i), tape, events));
    await Promise.all(some.map((connection) => connection.opened()));
    connections.push(...some);
  }
  let [bytes, crcSum] = [0, 0];
  for (const tape of tapes) {
    frames += tape.ends.length;
    bytes += tape.ends.at(-1) ?? 0;
    crcSum += tape.crcSum;
  }
  report({ type: 'ready', frames, bytes, crcSum });
}

function addressOf(index: number): string {
  return `127.3.0.${1 + Math.floor(index / PER_ADDRESS)}`;
}

function go(): void {
  startedMs = performance.now();
  startedCpu = process.cpuUsage();
  const rate = plan?.framesPerSecond;
  if (rate === undefined) for (const connection of connections) connection.play();
  else playPaced(rate);
}

/** Each connection sends its share evenly, whatever comes back: a slow server meets the same load as a fast one. */
function playPaced(framesPerSecond: number): void {
  const total = frames;
  for (const connection of connections)
    connection.time((_frame, sentMs) => latency.record(Math.max(1, Math.round((performance.now() - sentMs) * 1000))));
  let lastDue = 0;
  const timer = setInterval(() => {
    const elapsedMs = performance.now() - startedMs;
    const due = Math.min(total, Math.floor((elapsedMs / 1000) * framesPerSecond));
    if (due > lastDue) maxLatenessMs = Math.max(maxLatenessMs, elapsedMs - ((lastDue + 1) / framesPerSecond) * 1000);
    lastDue = due;
    // Not all at the same moments.
    for (const [index, connection] of connections.entries())
      connection.play(Math.min(connection.frames, Math.floor((due / total) * connection.frames + index / connections.length)));
    if (due === total) clearInterval(timer);
  }, TICK_MS);
}

function progressed(count: number, what: 'stored' | 'applied'): void {
  if (count < frames || startedMs === 0) return;
  report({ type: what, ...mark(), ...(what === 'stored' || plan?.framesPerSecond === undefined ? {} : { latency: latencyOf() }) });
}

function mark(): Mark {
  const { user, system } = process.cpuUsage(startedCpu);
  return { seconds: (performance.now() - startedMs) / 1000, cpuSeconds: (user + system) / 1e6 };
}

function latencyOf(): Latency {
  return {
    p50: latency.percentile(50) / 1000,
    p99: latency.percentile(99) / 1000,
    max: latency.max / 1000,
    maxLateness: maxLatenessMs,
  };
}

function report(message: SenderReport): void {
  process.send?.(message);
}

function fail(error: Error): void {
  report({ type: 'failed', message: error.message });
}
