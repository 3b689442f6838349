/**
 * Whether a node serves clients and partitions.
 *
 *     serving ──drain()──► draining ──everything is handed over──► drained
 *     draining | drained ──resume()──► serving          any ──stop()──► stopping
 */
export type Duty = 'serving' | 'draining' | 'drained' | 'stopping';

/** What a drained node does without. */
export interface Work {
  /** Lets slices finish, gives leases back and sends clients away; stops where it is when `signal` is aborted. */
  drain(signal: AbortSignal): Promise<void>;
  resume(): void;
}

/** Takes a node out of service and puts it back, in any order of calls. */
export class DutyRoster {
  readonly #work: Work;
  #duty: Duty = 'serving';
  #draining: Promise<void> | undefined;
  #abort: AbortController | undefined;

  constructor(work: Work) {
    this.#work = work;
  }

  get duty(): Duty {
    return this.#duty;
  }

  /** Resolves when everything is handed over, or the node was put back meanwhile. A second call waits for the first. */
  async drain(): Promise<void> {
    if (this.#duty === 'serving') {
      this.#duty = 'draining';
      this.#abort = new AbortController();
      const draining = this.#work.drain(this.#abort.signal).then(() => {
        if (this.#draining === draining && this.#duty === 'draining') this.#duty = 'drained';
      });
      this.#draining = draining;
    }
    await this.#draining;
  }

  resume(): void {
    if (this.#duty !== 'draining' && this.#duty !== 'drained') return;
    this.#duty = 'serving';
    this.#draining = undefined;
    this.#abort?.abort();
    this.#work.resume();
  }

  /** From now on nothing brings it back. */
  stop(): void {
    this.#duty = 'stopping';
    this.#abort?.abort();
  }
}
