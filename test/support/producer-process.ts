import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { endWithUs } from '../../src/chaos/end-with-us.ts';
import { eventually } from './eventually.ts';

const PRODUCER = fileURLToPath(new URL('../fault/producer.ts', import.meta.url));

/** Keys of one generation: n and n + KEYS change the same row. */
export const KEYS = 50;

/** How long a client may take to start, on a machine that has much to do. */
const SENDING_MS = 60_000;

/** Every so many n, a row goes to table `strict` that no database takes. */
export const REFUSED_EVERY = 200;

/** The fault tests' client as a process of its own; every start is a new generation over the same spool. */
export class ProducerProcess {
  readonly spool: string;
  readonly #url: string;
  readonly #folder = mkdtempSync(join(tmpdir(), 'syncline-producer-'));
  #child: ChildProcess | undefined;
  #generation = 0;
  /** What it printed: errors that it did not expect. */
  output = '';

  /** The spool is a folder of its own unless one is named; in that case, nothing may be in it. */
  constructor(url: string, spool?: string) {
    this.#url = url;
    this.spool = spool ?? join(this.#folder, 'spool');
  }

  /** With more variables for this life. */
  start(env: Readonly<Record<string, string>> = {}): void {
    this.#generation++;
    const child = spawn(process.execPath, [PRODUCER], {
      env: {
        PATH: process.env['PATH'] ?? '',
        SYNCLINE_URL: this.#url,
        SPOOL: this.spool,
        PRODUCER_LOG: join(this.#folder, 'log'),
        GENERATION: String(this.#generation),
        KEYS: String(KEYS),
        REFUSED_EVERY: String(REFUSED_EVERY),
        ...env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child.stdout.on('data', (chunk: Buffer) => (this.output += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (this.output += chunk.toString()));
    this.#child = child;
    endWithUs(child);
  }

  /** Waits until the running generation has made sure of its first rows. */
  async sending(): Promise<void> {
    await eventually(() => {
      if (!this.running) throw new Error(`the producer ended: ${this.output}`);
      if (!this.history().spooled.has(this.#generation)) throw new Error(`generation ${this.#generation} has not made sure of any rows`);
    }, SENDING_MS);
  }

  /** Sends a signal and resolves with the exit code once it has ended. */
  async stop(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.#child;
    if (child === undefined) throw new Error('the producer was not started');
    if (child.exitCode === null && child.signalCode === null) {
      const exited = once(child, 'exit');
      child.kill(signal);
      await exited;
    }
    return child.exitCode;
  }

  get pid(): number {
    if (this.#child?.pid === undefined) throw new Error('the producer was not started');
    return this.#child.pid;
  }

  get running(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** The client's own log, as the checker reads it. */
  history(): ProducerHistory {
    const file = join(this.#folder, 'log');
    const lines = existsSync(file) ? readFileSync(file, 'utf8').split('\n') : [];
    const spooled = new Map<number, number>();
    const refused = new Set<string>();
    const complaints: string[] = [];
    for (const line of lines) {
      const [word, generation, n] = line.split(' ');
      if (word === 'spooled' || word === 'applied') spooled.set(Number(generation), Number(n));
      else if (word === 'refused') refused.add(`${generation} ${n}`);
      else if (word) complaints.push(line);
    }
    return { spooled, refused, complaints };
  }

  async close(): Promise<void> {
    if (this.running) await this.stop('SIGKILL');
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

export interface ProducerHistory {
  /** By generation, up to which n the client had made sure of its rows. */
  readonly spooled: ReadonlyMap<number, number>;
  /** `generation n` of the rows for table `strict` that it was told are refused. */
  readonly refused: ReadonlySet<string>;
  /** Other rejections, and errors, that it was told. */
  readonly complaints: readonly string[];
}
