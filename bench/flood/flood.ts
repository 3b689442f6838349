import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { endWithUs } from '../../src/chaos/end-with-us.ts';
import { count } from '../../src/cli/text.ts';
import { hashToken } from '../../src/ingest/producers.ts';
import { checkMariadb } from '../check/mariadb-contents.ts';
import { cpuSecondsOf } from '../processor-time.ts';
import { DATABASE } from '../services/mariadb-client.ts';
import { startDatabase } from '../services/mariadb.ts';
import { startQueueRedis } from '../services/redis.ts';
import { median } from '../statistics.ts';
import { missingForInstallation, senderTo, warmUp } from '../syncline/installation.ts';
import { startServer, type SynclineServer } from '../syncline/server.ts';
import type { Workload } from '../workload.ts';
import { type FloodCommand, type FloodPlan, type FloodReport, KINDS, type Kind } from './flood-messages.ts';

const ENTRY = fileURLToPath(new URL('flood-entry.ts', import.meta.url));
const GOOD_CHANGES_PER_SECOND = 200;
const PHASE_MS = 15_000;
const ALL_MS = 75_000;
/** Between two phases, so that what one left behind is gone. */
const REST_MS = 7_000;
/** Allowed, at scale 1: all that the hostile ones need, and those that are being refused meanwhile. */
const CONNECTIONS = 5_000;
/** What docs/limits.md says of memory: for a connection, and for what is `maxInFlightBytes` each. */
const BYTES_PER_CONNECTION = 220_000;
const BYTES_IN_FLIGHT = 3 * 64 * 1024 * 1024;
const HOSTILE_TOKEN = 'hostile.0123456789abcdef';

/** What is done, and for how long. */
interface Phase {
  readonly kinds: readonly Kind[];
  readonly ms: number;
}
const ALONE: Phase = { kinds: [], ms: PHASE_MS };
/** What is small against the noise of the machine is measured again, each time beside the clients alone. */
const AGAIN: readonly Phase[] = [ALONE, { kinds: ['wrong tokens'], ms: PHASE_MS }];
/** Not measured: code that runs for the first time takes twice as long. */
const WARM_UP = AGAIN;
const PHASES: readonly Phase[] = [
  ALONE,
  ...KINDS.map((kind) => ({ kinds: [kind], ms: kind === 'readers that never read' ? ALL_MS : PHASE_MS })),
  { kinds: KINDS, ms: ALL_MS },
  ...AGAIN,
  ...AGAIN,
];

/**
 * Floods a server with wrong tokens, peers that send a byte now and then, or most of a frame, or read nothing, one after the other and all
 * together, beside clients that behave. Prints what each event costs the server in processor time, what it holds in memory, and how
 * long the others wait. Resolves with 1 where it holds more memory than it may.
 * @throws where a client that behaves loses something.
 */
export async function measureFlood(scale: number, print: (line: string) => void): Promise<number> {
  const missing = await missingForInstallation();
  if (missing !== undefined) throw new Error(missing);
  const good = Math.ceil(([...WARM_UP, ...PHASES].reduce((sum, { ms }) => sum + ms + REST_MS, 0) / 1_000) * GOOD_CHANGES_PER_SECOND);
  const workload: Workload = { kind: 'inserts', changes: good, seed: 1 };
  const connections = Math.ceil(CONNECTIONS * scale);
  const redis = await startQueueRedis();
  const mariadb = await startDatabase(workload);
  const server = await startServer({
    env: {
      SYNCLINE_QUEUE: redis.url,
      SYNCLINE_SINK: mariadb.url(DATABASE),
      SYNCLINE_LOG_LEVEL: 'error',
      SYNCLINE_INGEST_MAX_CONNECTIONS: String(connections),
      SYNCLINE_INGEST_MAX_CONNECTIONS_PER_PRODUCER: String(connections),
    },
    prepare: (folder) =>
      writeFileSync(join(folder, 'syncline.yaml'), `producers:\n  - { name: hostile, tokens: ['${hashToken(HOSTILE_TOKEN)}'] }\n`),
  });
  const flood = fork(ENTRY, { stdio: 'inherit' });
  endWithUs(flood);
  try {
    await warmUp(server, 1);
    const sender = await senderTo(
      server,
      { kind: 'items', table: 'item', workload, batching: 'none' },
      { framesPerSecond: GOOD_CHANGES_PER_SECOND },
    );
    tell(flood, { type: 'plan', plan: planOf(server, scale) });
    server.resetPeakMemory();
    sender.go();
    const applied = sender.applied();
    let bound = 0;
    for (const phase of WARM_UP) {
      await run(phase, server, flood);
      // What it takes before anybody means harm.
      if (bound === 0) bound = server.peakMemoryBytes() + BYTES_IN_FLIGHT + connections * BYTES_PER_CONNECTION;
      await delay(REST_MS);
    }
    let base = 0;
    const tokens: number[] = [];
    for (const phase of PHASES) {
      const { cores, report } = await run(phase, server, flood);
      if (phase.kinds.length === 0) base = cores;
      const microseconds = microsecondsEach(phase, cores - base, report);
      if (phase.kinds.length === 1 && phase.kinds[0] === 'wrong tokens') tokens.push(microseconds);
      for (const line of linesOf(phase, cores, microseconds, report)) print(line);
      await delay(REST_MS);
    }
    const [least, most] = [Math.min(...tokens), Math.max(...tokens)];
    print(`a wrong token: ${median(tokens).toFixed(0)} µs of the server (${least.toFixed(0)} to ${most.toFixed(0)})`);
    const { latency } = await applied;
    await checkMariadb(mariadb, workload);
    const megabytes = (bytes: number) => `${count(Math.round(bytes / 1e6))} MB`;
    const peak = server.peakMemoryBytes();
    print(`memory at most: ${megabytes(peak)}, of ${megabytes(bound)} that a server with these limits may take`);
    print(
      `${count(good)} changes of clients that behave, ${count(GOOD_CHANGES_PER_SECOND)} a second: all applied once; ` +
        `p50 ${latency!.p50.toFixed(1)} ms, p99 ${latency!.p99.toFixed(1)} ms, at most ${latency!.max.toFixed(0)} ms`,
    );
    sender.close();
    return peak <= bound ? 0 : 1;
  } finally {
    flood.kill('SIGKILL');
    await server.close();
    await mariadb.close();
    await redis.close();
  }
}

function planOf({ port }: SynclineServer, scale: number): FloodPlan {
  const scaled = (number: number) => Math.ceil(number * scale);
  return {
    port,
    token: HOSTILE_TOKEN,
    wrongTokensPerSecond: scaled(1_000),
    dripFeeders: scaled(2_000),
    unfinished: scaled(100),
    readers: scaled(2_000),
  };
}

async function run({ kinds, ms }: Phase, { pid }: SynclineServer, flood: ChildProcess): Promise<{ cores: number; report: FloodReport }> {
  const [beganMs, before] = [performance.now(), cpuSecondsOf(pid)];
  tell(flood, { type: 'do', kinds });
  await delay(ms);
  const reported = once(flood, 'message') as Promise<[FloodReport]>;
  tell(flood, { type: 'rest' });
  const [report] = await reported;
  return { cores: (cpuSecondsOf(pid) - before) / ((performance.now() - beganMs) / 1_000), report };
}

/** What one event of a phase of one kind costs, with so many cores used for all of them; NaN for a phase of none or several. */
function microsecondsEach({ kinds: [kind, ...others], ms }: Phase, cores: number, { events }: FloodReport): number {
  return kind === undefined || others.length > 0 ? Number.NaN : ((cores * ms) / events[kind]) * 1_000;
}

function linesOf({ kinds, ms }: Phase, cores: number, microseconds: number, report: FloodReport): string[] {
  const what = kinds.length === 0 ? 'clients that behave alone' : kinds.join(', ');
  const lines = [`${what}: ${(cores * 100).toFixed(0)} % of a core`];
  if (kinds.length === 1) {
    const events = report.events[kinds[0]!];
    const each = microseconds > 0 ? `${microseconds.toFixed(1)} µs of the server each` : 'too little of the server to be seen';
    lines.push(`  ${count(events)} ${EVENTS[kinds[0]!]} in ${ms / 1_000} s, ${each}`);
  } else lines.push(...kinds.map((kind) => `  ${count(report.events[kind])} ${EVENTS[kind]}`));
  if (kinds.includes('readers that never read')) lines.push(`  ${count(report.slowReaders)} cut off because they read nothing`);
  return lines;
}

const EVENTS: Readonly<Record<Kind, string>> = {
  'wrong tokens': 'tokens refused',
  'drip feeders': 'bytes',
  'unfinished frames': 'frames begun, 3 MB of each',
  'readers that never read': 'PINGs',
};

function tell(flood: ChildProcess, command: FloodCommand): void {
  flood.send(command);
}
