import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Status } from '../../src/admin/status.ts';
import { endWithUs } from '../../src/chaos/end-with-us.ts';
import { eventually } from '../../test/support/eventually.ts';
import { freePort } from '../../test/support/free-port.ts';
import { SERVER_FLAGS } from '../../test/support/server-flags.ts';
import type { Watch } from '../comparison.ts';
import { removeAtExit } from '../services/leftovers.ts';
import { packagedMain } from './package.ts';

const START_TIMEOUT_MS = 30_000;

export interface ServerOptions {
  /** `SYNCLINE_…` variables: where queue and sink are. Without any it runs embedded. */
  readonly env?: Readonly<Record<string, string>>;
  /** What it runs under, such as another C library; Node.js alone when left out. */
  readonly program?: readonly string[];
  /** Puts into its working folder what it is to find there, such as a configuration. */
  prepare?(folder: string): void;
  /** Who looks into it. */
  readonly watch?: Watch | undefined;
}

/** Our server as a user runs it: `syncline start` with two variables, everything else at its default. */
export interface SynclineServer {
  readonly host: string;
  readonly port: number;
  /** For WebSocket and HTTP. */
  readonly webPort: number;
  readonly token: string;
  readonly pid: number;
  /** Where the embedded queue and sink are. */
  readonly data: string;
  status(): Promise<Status>;
  /** Figures of `GET /metrics` by name, those with labels as `name{label="value"}`. */
  metrics(): Promise<ReadonlyMap<string, number>>;
  /** The most memory it has had since the start or {@link resetPeakMemory}, in bytes. */
  peakMemoryBytes(): number;
  resetPeakMemory(): void;
  /** Ends it as a service would, and removes its folder. */
  close(): Promise<void>;
}

/** Starts a server of its own in a fresh folder; resolves when it answers. */
export async function startServer({ env = {}, program = [process.execPath], prepare, watch }: ServerOptions = {}): Promise<SynclineServer> {
  const data = mkdtempSync(join(tmpdir(), 'syncline-bench-'));
  removeAtExit(data);
  prepare?.(data);
  const [port, webPort, adminPort] = [await freePort(), await freePort(), await freePort()];
  const [command = process.execPath, ...before] = program;
  const child = spawn(command, [...before, ...SERVER_FLAGS, ...(watch?.nodeOptions ?? []), packagedMain(), 'start'], {
    cwd: data,
    env: {
      PATH: process.env['PATH'] ?? '',
      SYNCLINE_DATA: data,
      SYNCLINE_TOKEN: TOKEN,
      SYNCLINE_TCP_HOST: '127.0.0.1',
      SYNCLINE_TCP_PORT: String(port),
      SYNCLINE_WEB_PORT: String(webPort),
      SYNCLINE_ADMIN_PORT: String(adminPort),
      ...env,
      ...watch?.env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  endWithUs(child);
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (output = (output + chunk.toString()).slice(-4000)));
  const pid = child.pid as number;
  const get = (path: string) => fetch(`http://127.0.0.1:${adminPort}${path}`, { signal: AbortSignal.timeout(10_000) });
  const close = async () => {
    await end(child);
    rmSync(data, { recursive: true, force: true });
  };
  try {
    await eventually(async () => {
      if (child.exitCode === null && child.signalCode === null) return get('/health/live');
      throw new Error(`the server ended at its start: ${output}`);
    }, START_TIMEOUT_MS);
  } catch (error) {
    await close();
    throw error;
  }
  return {
    host: '127.0.0.1',
    port,
    webPort,
    token: TOKEN,
    pid,
    data,
    status: async () => (await (await get('/api/v1/status')).json()) as Status,
    metrics: async () => parseMetrics(await (await get('/metrics')).text()),
    peakMemoryBytes: () => Number(/^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024,
    // 5 resets the high water mark: proc(5).
    resetPeakMemory: () => writeFileSync(`/proc/${pid}/clear_refs`, '5'),
    close,
  };
}

const TOKEN = 'default.benchmark';
const STOP_TIMEOUT_MS = 20_000;

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
  await exited;
  clearTimeout(timer);
}

function parseMetrics(text: string): Map<string, number> {
  const figures = new Map<string, number>();
  for (const line of text.split('\n')) {
    const at = line.lastIndexOf(' ');
    if (at > 0 && !line.startsWith('#')) figures.set(line.slice(0, at), Number(line.slice(at + 1)));
  }
  return figures;
}
