import { setTimeout as delay } from 'node:timers/promises';
import { connect, type Client } from '../../src/client/client.ts';
import { messageOf } from '../../src/core/errors.ts';

export interface ProbeOptions {
  readonly url: string;
  readonly token: string;
}

const PAUSE_MS = 30;
const CLOSE_MS = 2_000;
/** Of a client, for whoever looks for a fault. */
const LAST_EVENTS = 20;

/** A client that writes one row again and again, each time when it was applied, from {@link Probe.start} until {@link Probe.stop}. */
export class Probe {
  readonly gen: number;
  readonly #id: number;
  readonly #client: Client;
  readonly complaints: string[] = [];
  readonly eventCounts = new Map<string, number>();
  readonly #lastEvents: string[] = [];
  /** Up to which n changes were written. */
  written = 0;
  appliedCount = 0;
  /** When the change that waits now was written. */
  #writtenAtMs: number | undefined;
  #appliedAtMs = performance.now();
  #struckAtMs = performance.now();
  #recoveredAtMs: number | undefined;
  #longestWaitMs = 0;
  #longestStillMs = 0;
  #stopping = false;
  #running: Promise<void> | undefined;

  private constructor(client: Client, id: number, gen: number) {
    this.#client = client;
    this.#id = id;
    this.gen = gen;
    const note = (text: string) => {
      this.#lastEvents.push(`${new Date().toISOString().slice(11, 23)} ${text}`);
      if (this.#lastEvents.length > LAST_EVENTS) this.#lastEvents.shift();
    };
    const count = (name: string) => {
      this.eventCounts.set(name, (this.eventCounts.get(name) ?? 0) + 1);
      note(name);
    };
    client.on('connected', ({ node }) => note(`connected to ${node}`));
    client.on('disconnected', ({ reason }) => note(`disconnected: ${reason}`));
    for (const name of ['held', 'resumed', 'rewind', 'stream-started'] as const) client.on(name, () => count(name));
    client.on('rejected', ({ code, message }) => this.#complain('rejected', `${code} ${message}`, count));
    client.on('error', ({ code, message }) => this.#complain('error', `${code} ${message}`, count));
    client.on('diverged', ({ reason }) => this.#complain('diverged', reason, count));
    client.on('regressed', ({ message }) => this.#complain('regressed', message, count));
  }

  static async start({ url, token }: ProbeOptions, id: number, gen: number): Promise<Probe> {
    const probe = new Probe(await connect({ url, token, offline: true }), id, gen);
    probe.#running = probe.#run().catch((error: unknown) => void probe.complaints.push(`probe ${gen} ended: ${messageOf(error)}`));
    return probe;
  }

  struck(): void {
    this.#struckAtMs = performance.now();
    this.#recoveredAtMs = undefined;
    this.#longestWaitMs = 0;
    this.#longestStillMs = 0;
    this.eventCounts.clear();
  }

  get recoveredAtMs(): number | undefined {
    return this.#recoveredAtMs;
  }

  get waitingMs(): number {
    return this.#writtenAtMs === undefined ? 0 : performance.now() - this.#writtenAtMs;
  }

  get longestWaitMs(): number {
    return Math.max(this.#longestWaitMs, this.waitingMs);
  }

  get longestStillMs(): number {
    return Math.max(this.#longestStillMs, performance.now() - this.#appliedAtMs);
  }

  describe(): string {
    const { gen, written, longestStillMs } = this;
    const still = `stood still for ${Math.round(longestStillMs)} ms at most`;
    return `probe ${gen} at ${written} ${still}, ${JSON.stringify(this.#client.status())}, ${this.#lastEvents.join(', ')}`;
  }

  async stop(patienceMs: number): Promise<string[]> {
    this.#stopping = true;
    await Promise.race([this.#running, delay(patienceMs, undefined, { ref: false })]);
    const left = this.#writtenAtMs === undefined ? [] : [`it is not applied: ${this.describe()}`];
    await this.#client.close({ flush: false, signal: AbortSignal.timeout(CLOSE_MS) }).catch(() => {});
    return left;
  }

  async #run(): Promise<void> {
    const table = this.#client.table('probe', { key: ['id'] });
    while (!this.#stopping) {
      const writtenAtMs = performance.now();
      this.#writtenAtMs = writtenAtMs;
      this.written++;
      await table.upsert({ id: this.#id, gen: this.gen, n: this.written });
      await this.#client.flush();
      this.#applied(writtenAtMs);
      await delay(PAUSE_MS);
    }
  }

  #applied(writtenAtMs: number): void {
    const now = performance.now();
    this.appliedCount++;
    this.#longestWaitMs = Math.max(this.#longestWaitMs, now - writtenAtMs);
    this.#longestStillMs = Math.max(this.#longestStillMs, now - this.#appliedAtMs);
    this.#appliedAtMs = now;
    this.#writtenAtMs = undefined;
    if (writtenAtMs >= this.#struckAtMs) this.#recoveredAtMs ??= now;
  }

  #complain(name: string, text: string, count: (name: string) => void): void {
    count(name);
    this.complaints.push(`probe ${this.gen}: ${name} ${text}`);
  }
}
