/**
 * Whether a node serves clients and partitions.
 *
 *     serving ──drain()──► draining ──everything is handed over──► drained
 *     draining | drained ──resume()──► serving          any ──stop()──► stopping
 */
export type Duty = 'serving' | 'draining' | 'drained' | 'stopping';

/** What a drained node does without. */
export interface Work {
  /** Sends clients away, then lets slices finish and gives leases back. */
  drain(): Promise<void>;
  resume(): void;
}

/** Takes a node out of service and puts it back, in any order of calls. */
export class DutyRoster {
  readonly #work: Work;
  #duty: Duty = 'serving';
  #draining: Promise<void> | undefined;

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
      const draining = this.#work.drain().then(() => {
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
    this.#work.resume();
  }

  /** From now on nothing brings it back. */
  stop(): void {
    this.#duty = 'stopping';
  }
}
