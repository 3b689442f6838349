import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { endWithUs } from '../../src/chaos/end-with-us.ts';
import { COMPILE_CACHE } from './compile-cache.ts';
import { eventually } from './eventually.ts';
import { mergedEnv } from './source-patches.ts';

const PRODUCER = fileURLToPath(new URL('../fault/producer.ts', import.meta.url));

/** Keys of one generation: n and n + KEYS change the same row. */
export const KEYS = 50;

/** How long a client may take to start, on a machine that has much to do. */
const SENDING_MS = 60_000;

/** Every so many n, a row goes to table `strict` that no database takes. */
export const REFUSED_EVERY = 200;

export interface ProducerOptions {
  /** A folder with nothing in it, instead of one of its own. */
  readonly spool?: string | undefined;
  /** Variables of every life. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Before its first one; no two clients of one database have the same. */
  readonly generation?: number;
  /** The folder that its own is made in. */
  readonly dir?: string;
}

/** The fault tests' client as a process of its own; every start is a new generation over the same spool. */
export class ProducerProcess {
  readonly spool: string;
  readonly #url: string;
  readonly #env: Readonly<Record<string, string>>;
  readonly #folder: string;
  #child: ChildProcess | undefined;
  #generation: number;
  /** What it printed: errors that it did not expect. */
  output = '';

  constructor(url: string, { spool, env = {}, generation = 0, dir }: ProducerOptions = {}) {
    this.#url = url;
    this.#env = env;
    this.#generation = generation;
    this.#folder = mkdtempSync(join(dir ?? tmpdir(), 'syncline-producer-'));
    this.spool = spool ?? join(this.#folder, 'spool');
  }

  /** With more variables for this life. */
  start(env: Readonly<Record<string, string>> = {}): void {
    this.#generation++;
    const child = spawn(process.execPath, [PRODUCER], {
      env: {
        PATH: process.env['PATH'] ?? '',
        ...COMPILE_CACHE,
        SYNCLINE_URL: this.#url,
        SPOOL: this.spool,
        PRODUCER_LOG: join(this.#folder, 'log'),
        GENERATION: String(this.#generation),
        KEYS: String(KEYS),
        REFUSED_EVERY: String(REFUSED_EVERY),
        ...mergedEnv(this.#env, env),
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
      if (!this.running) return;
      if (!this.history().spooled.has(this.#generation)) throw new Error(`generation ${this.#generation} has not made sure of any rows`);
    }, SENDING_MS);
    if (!this.running) throw new Error(`the producer ended: ${this.output}`);
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
    const foreign: string[] = [];
    for (const line of lines) {
      const [word, generation, n] = line.split(' ');
      if (word === 'spooled' || word === 'applied') spooled.set(Number(generation), Number(n));
      else if (word === 'refused') refused.add(`${generation} ${n}`);
      else if (word === 'foreign') foreign.push(line);
      else if (word) complaints.push(line);
    }
    return { spooled, refused, complaints, foreign };
  }

  /** Begins the log anew: what is in it was audited. */
  forget(): void {
    rmSync(join(this.#folder, 'log'), { force: true });
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
  /** Rejections of batches that it does not hold: only an old copy of a spool hears of such. */
  readonly foreign?: readonly string[];
}

/** Of several clients, whose generations differ. */
export function joinHistories(histories: readonly ProducerHistory[]): ProducerHistory {
  return {
    spooled: new Map(histories.flatMap(({ spooled }) => [...spooled])),
    refused: new Set(histories.flatMap(({ refused }) => [...refused])),
    complaints: histories.flatMap(({ complaints }) => complaints),
    foreign: histories.flatMap(({ foreign = [] }) => foreign),
  };
}
