import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ChaosError } from './chaos-error.ts';
import { withoutOurs } from './child-environment.ts';
import { endWithUs } from './end-with-us.ts';

const ENTRY = fileURLToPath(new URL(`./embedded-entry${import.meta.filename.slice(-3)}`, import.meta.url));
const MAX_OUTPUT = 4000;

/** A server with embedded queue and sink, as a process that can be killed and started again on the same files. */
export class EmbeddedServer {
  readonly #data: string;
  #child: ChildProcess | undefined;
  #killing = false;
  /** The last of what it printed. */
  output = '';

  /** `folder` is created where it is missing. */
  constructor(folder: string) {
    this.#data = folder;
    mkdirSync(folder, { recursive: true });
  }

  /** URL of its sink. */
  get sink(): string {
    return `sqlite:${join(this.#data, 'data.db')}`;
  }

  /** Whether it has ended by itself. */
  get died(): boolean {
    return !this.#killing && !this.#running;
  }

  /** Starts it and resolves with the port on which it listens, another one each time. @throws {ChaosError} */
  async start(): Promise<number> {
    const child = fork(ENTRY, [], {
      env: {
        ...withoutOurs(process.env),
        SYNCLINE_DATA: this.#data,
        SYNCLINE_TCP_PORT: '0',
        SYNCLINE_WEB_ENABLED: 'false',
        SYNCLINE_ADMIN_PORT: '0',
        SYNCLINE_SINK_SCHEMA: 'strict',
        SYNCLINE_LOG_LEVEL: 'error',
      },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (chunk: Buffer) => (this.output = `${this.output}${chunk.toString()}`.slice(-MAX_OUTPUT)));
    endWithUs(child);
    this.#child = child;
    this.#killing = false;
    const port = await new Promise<number>((resolve, reject) => {
      child.once('message', (message: { port: number }) => resolve(message.port));
      child.once('exit', () => reject(new ChaosError('refused', `the embedded server ended at its start: ${this.output.trim()}`)));
      child.once('error', reject);
    });
    return port;
  }

  /** Ends it with SIGKILL. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined || !this.#running) return;
    this.#killing = true;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }

  get #running(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }
}
