import { MAX_TOGETHER, type PartitionWork } from './partition-work.ts';

/** Partitions that are ready to run, in the order in which they became so. */
export class ReadyQueue {
  readonly #works: PartitionWork[] = [];

  add(work: PartitionWork): void {
    work.phase = 'ready';
    this.#works.push(work);
  }

  /** It is not ready any more. */
  remove(work: PartitionWork): void {
    const at = this.#works.indexOf(work);
    if (at >= 0) this.#works.splice(at, 1);
  }

  clear(): void {
    this.#works.length = 0;
  }

  /**
   * Takes whoever has been ready for longest; with others, if all of them have little to do and nothing is in their way. They
   * are `running` from then on.
   */
  take(nowMs: number): PartitionWork[] {
    const taken: PartitionWork[] = [];
    while (taken.length < MAX_TOGETHER) {
      const at = taken.length === 0 ? 0 : this.#works.findIndex((work) => work.mayShare(nowMs));
      const work = this.#works[at];
      if (work === undefined) break;
      this.#works.splice(at, 1);
      work.phase = 'running';
      taken.push(work);
      if (!work.mayShare(nowMs)) break;
    }
    return taken;
  }
}
