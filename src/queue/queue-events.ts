import type { Admission, QueueEvent } from './queue.ts';

/** The admission of a queue and whoever watches it. */
export class QueueEvents {
  #admission: Admission;
  readonly #listeners = new Set<(event: QueueEvent) => void>();

  constructor(initial: Admission) {
    this.#admission = initial;
  }

  get admission(): Admission {
    return this.#admission;
  }

  /** Opens admission, or holds it with `reason`; tells the listeners when that is news. */
  admit(reason: string | undefined): void {
    const before = this.#admission.state === 'held' ? this.#admission.reason : undefined;
    if (before === reason) return;
    this.#admission = reason === undefined ? { state: 'open' } : { state: 'held', reason };
    this.#tell({ type: 'admission', admission: this.#admission });
  }

  connected(): void {
    this.#tell({ type: 'connected' });
  }

  announced(message: string): void {
    this.#tell({ type: 'announced', message });
  }

  listening(): void {
    this.#tell({ type: 'listening' });
  }

  watch(listener: (event: QueueEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  #tell(event: QueueEvent): void {
    for (const listener of [...this.#listeners]) listener(event);
  }
}
