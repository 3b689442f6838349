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
import { SERVER_FLAGS } from './server-flags.ts';
import { LOOPBACK, type Site } from './test-network.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

/** Node.js itself, so that signals reach the server. */
const OURS: readonly string[] = [process.execPath, ...SERVER_FLAGS, MAIN];

export interface ServerOptions {
  readonly site?: Site;
  /** The folder that its own is made in. */
  readonly dir?: string;
  /** What runs instead of our own program with this Node. */
  readonly command?: readonly string[];
  /** Instead of its own folder. */
  readonly cwd?: string;
}

/** Whoever stands still does not lead. */
const PRIMARY_TIMEOUT_MS = 500;

/** Our server as a process of its own, started with Node directly so that signals reach it. */
export class ServerProcess {
  readonly tcpPort: number;
  readonly adminPort: number;
  readonly data: string;
  readonly site: Site;
  readonly #env: Readonly<Record<string, string>>;
  readonly #command: readonly string[];
  readonly #cwd: string;
  #child: ChildProcess | undefined;
  /** Everything that it printed, over all its lives. */
  output = '';

  private constructor(ports: readonly [number, number], data: string, env: Readonly<Record<string, string>>, options: ServerOptions) {
    const { site = LOOPBACK, command = OURS, cwd = data } = options;
    [this.tcpPort, this.adminPort] = ports;
    this.#command = command;
    this.#cwd = cwd;
    this.data = data;
    this.#env = env;
    this.site = site;
  }

  /** `env` holds SYNCLINE_… variables; ports and the data folder are chosen here. A site other than loopback needs tokens. */
  static async create(env: Readonly<Record<string, string>> = {}, options: ServerOptions = {}): Promise<ServerProcess> {
    const data = mkdtempSync(join(options.dir ?? tmpdir(), 'syncline-test-'));
    return new ServerProcess([await freePort(), await freePort()], data, env, options);
  }

  get adminUrl(): string {
    return `http://127.0.0.1:${this.adminPort}`;
  }

  get url(): string {
    return `tcp://${this.site.address}:${this.tcpPort}`;
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
    const [program, ...args] = [...this.site.prefix, ...this.#command, 'start'];
    const child = spawn(program, args, {
      cwd: this.#cwd,
      env: {
        PATH: process.env['PATH'] ?? '',
        ...COMPILE_CACHE,
        SYNCLINE_DATA: this.data,
        SYNCLINE_TCP_HOST: this.site.address,
        SYNCLINE_TCP_PORT: String(this.tcpPort),
        SYNCLINE_WEB_PORT: '0',
        SYNCLINE_ADMIN_HOST: this.site.address,
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
      const response = await this.#get('/health/live');
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
    const response = await this.#get('/api/v1/status');
    return (await response.json()) as Status;
  }

  async ready(): Promise<boolean> {
    return (await this.#get('/health/ready')).ok;
  }

  /** Whether the balancer is to send clients here; false also when nobody answers. */
  async primary(): Promise<boolean> {
    return this.#get('/health/primary', PRIMARY_TIMEOUT_MS).then(
      ({ ok }) => ok,
      () => false,
    );
  }

  /** Ends the process and removes its folder. */
  async close(): Promise<void> {
    await this.stop('SIGKILL');
    rmSync(this.data, { recursive: true, force: true });
  }

  #get(path: string, timeoutMs = 10_000): Promise<Response> {
    const token = this.#env['SYNCLINE_ADMIN_TOKEN'];
    return fetch(`http://${this.site.address}:${this.adminPort}${path}`, {
      signal: AbortSignal.timeout(timeoutMs),
      ...(token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } }),
    });
  }
}
