import type { Workload } from './workload.ts';

/** Something whose speed is measured: Syncline, what people use today, or the limit of a part. */
export interface Contender {
  /** In kebab-case; unique. */
  readonly name: string;
  /** What it is and how it is set, in at most 80 characters. */
  readonly title: string;
  /** Why it cannot run on this machine and what to install; undefined when it can. */
  missing(): Promise<string | undefined>;
  /**
   * Measures once, with private servers in folders of their own that are gone afterwards. What is counted begins when everything
   * is started and warm, and ends when the last unit is where it belongs, which is checked.
   * @throws {Error} when fewer units arrived than were sent.
   */
  measure(workload: Workload): Promise<Measurement>;
}

/** What one measurement found. */
export interface Measurement {
  /** Units of work done: changes, frames or bytes, as the comparison says. */
  readonly count: number;
  readonly seconds: number;
}
