import type { Client } from '../../src/client/client.ts';
import { eventually } from './eventually.ts';
import type { ProducerHistory } from './producer-process.ts';

const GENERATION = 1;
const BLOCK = 10;
const PAUSE_MS = 5;

/** Rows for table `item` that a client of this process writes until it is stopped; {@link auditFaults} checks what became of them. */
export class RowLoad {
  /** n and n + this many change the same row. */
  readonly keys = 50;
  readonly #client: Client;
  readonly #pad: { readonly pad?: string };
  readonly #complaints: string[] = [];
  #written = 0;
  #stopping = false;
  #running: Promise<void> | undefined;

  /** With `padBytes`, every row has a column `pad` of that size. */
  constructor(client: Client, { padBytes }: { readonly padBytes?: number } = {}) {
    this.#client = client;
    this.#pad = padBytes === undefined ? {} : { pad: 'p'.repeat(padBytes) };
    client.on('rejected', ({ code, message }) => this.#complaints.push(`rejected ${code} ${message}`));
    client.on('error', ({ code, message }) => this.#complaints.push(`error ${code} ${message}`));
  }

  /** How many rows were written so far. */
  get written(): number {
    return this.#written;
  }

  /** Begins to write and goes on by itself; a fault of the client shows when {@link stop} is awaited. */
  start(): void {
    this.#running = this.#run();
    // Reported by stop; until then it must not count as unhandled.
    this.#running.catch(() => {});
  }

  /** Waits until `count` more rows were written. */
  async more(count: number): Promise<void> {
    const goal = this.#written + count;
    await eventually(() => {
      if (this.#written < goal) throw new Error(`${this.#written} of ${goal} rows are written`);
    });
  }

  /** Ends the load and resolves when everything is applied. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#running;
    await this.#client.flush();
  }

  history(): ProducerHistory {
    return { spooled: new Map([[GENERATION, this.#written]]), refused: new Set(), complaints: this.#complaints };
  }

  async #run(): Promise<void> {
    const items = this.#client.table('item', { key: ['id'] });
    while (!this.#stopping) {
      for (let i = 0; i < BLOCK; i++) {
        const n = this.#written + 1;
        await items.upsert({ id: GENERATION * this.keys + (n % this.keys), gen: GENERATION, n, ...this.#pad });
        this.#written = n;
      }
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }
}
