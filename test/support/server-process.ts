import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Status } from '../../src/admin/status.ts';
import { freePort } from './free-port.ts';
import { endWithUs } from '../../src/chaos/end-with-us.ts';
import { COMPILE_CACHE } from './compile-cache.ts';
import { eventually } from './eventually.ts';
import { mergedEnv } from './source-patches.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

/** Our server as a process of its own, started with Node directly so that signals reach it. */
export class ServerProcess {
  readonly tcpPort: number;
  readonly adminPort: number;
  readonly data: string;
  readonly #env: Readonly<Record<string, string>>;
  #child: ChildProcess | undefined;
  /** Everything that it printed, over all its lives. */
  output = '';

  private constructor(tcpPort: number, adminPort: number, data: string, env: Readonly<Record<string, string>>) {
    this.tcpPort = tcpPort;
    this.adminPort = adminPort;
    this.data = data;
    this.#env = env;
  }

  /** `env` holds SYNCLINE_… variables; ports and the data folder are chosen here. */
  static async create(env: Readonly<Record<string, string>> = {}): Promise<ServerProcess> {
    return new ServerProcess(await freePort(), await freePort(), mkdtempSync(join(tmpdir(), 'syncline-test-')), env);
  }

  get adminUrl(): string {
    return `http://127.0.0.1:${this.adminPort}`;
  }

  get url(): string {
    return `tcp://127.0.0.1:${this.tcpPort}`;
  }

  get pid(): number {
    if (this.#child?.pid === undefined) throw new Error('the server is not running');
    return this.#child.pid;
  }

  /** Starts it and waits until it answers. */
  async start(): Promise<void> {
    this.launch();
    await this.answers();
  }

  /** Starts it, with more variables for this life, and waits for nothing. */
  launch(env: Readonly<Record<string, string>> = {}): void {
    const child = spawn(process.execPath, [MAIN, 'start'], {
      cwd: this.data,
      env: {
        PATH: process.env['PATH'] ?? '',
        ...COMPILE_CACHE,
        SYNCLINE_DATA: this.data,
        SYNCLINE_TCP_PORT: String(this.tcpPort),
        SYNCLINE_ADMIN_PORT: String(this.adminPort),
        SYNCLINE_LOG_FORMAT: 'json',
        ...mergedEnv(this.#env, env),
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    endWithUs(child);
    child.stdout.on('data', (chunk: Buffer) => (this.output += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (this.output += chunk.toString()));
  }

  /** Waits until it answers. */
  async answers(): Promise<void> {
    await eventually(async () => {
      if (!this.running) throw new Error(`the server ended with ${this.#child?.exitCode}: ${this.output.slice(-2000)}`);
      const response = await fetch(`http://127.0.0.1:${this.adminPort}/health/live`);
      if (!response.ok) throw new Error(`live answers ${response.status}`);
    }, 15_000);
  }

  get running(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Sends a signal and waits until the process has ended; resolves with its exit code, null after a kill. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null;
    const exited = once(child, 'exit');
    child.kill(signal);
    await exited;
    return child.exitCode;
  }

  /** Sends a signal and waits for nothing. */
  signal(signal: NodeJS.Signals): void {
    process.kill(this.pid, signal);
  }

  async status(): Promise<Status> {
    const response = await fetch(`http://127.0.0.1:${this.adminPort}/api/v1/status`);
    return (await response.json()) as Status;
  }

  async ready(): Promise<boolean> {
    return (await fetch(`http://127.0.0.1:${this.adminPort}/health/ready`)).ok;
  }

  /** Ends the process and removes its folder. */
  async close(): Promise<void> {
    await this.stop('SIGKILL');
    rmSync(this.data, { recursive: true, force: true });
  }
}
