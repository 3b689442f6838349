import type { SynclineServer } from './syncline/server.ts';

/** What a run is made of: sides that are measured in turn, and what is held of their figures against a reach. */

/** Figures of one measurement by name, such as `rows/s`. All sides of a comparison that are set against each other share a name. */
export type Figures = Readonly<Record<string, number>>;

/** Whoever looks into our server while it is measured; sides without one do not know it. */
export interface Watch {
  /** Options of Node and variables that the server is started with. */
  readonly nodeOptions: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** What is counted begins. */
  begin(server: SynclineServer): Promise<void>;
  /** What is counted has ended, and the server still runs. */
  end(server: SynclineServer): Promise<void>;
}

/** Something that is measured: Syncline in one setting, the limit of a part, or what people use today. */
export interface Side {
  /** In kebab-case; unique within its comparison. */
  readonly name: string;
  /** What it is and how it is set, in at most 100 characters. */
  readonly title: string;
  /** Why it cannot run on this machine and what to install; undefined when it can. */
  missing(): Promise<string | undefined>;
  /**
   * Measures once, on servers of its own.
   * @throws {Error} when what arrived is not what was sent.
   */
  measure(scale: number, watch?: Watch): Promise<Figures>;
}

/** A figure that counts, or a quotient of two, and what is claimed of it. */
export interface Verdict {
  readonly figure: string;
  /** The side whose figure it is. */
  readonly of: string;
  /** The side whose figure it is divided by, in the same pair; left out for a figure that stands alone. */
  readonly over?: string;
  /** Left out where nothing is claimed, and it is only said. */
  readonly reach?: Reach;
}

export interface Reach {
  readonly bound: 'at least' | 'at most';
  readonly value: number;
}

export interface Comparison {
  readonly name: string;
  /** What is measured, in one sentence. */
  readonly title: string;
  /** Measured in this order, and every other time in the opposite one: A B, B A, A B … */
  readonly sides: readonly Side[];
  readonly verdicts: readonly Verdict[];
  /** How often every side is measured; with `--quick`, and without. */
  readonly pairs: { readonly quick: number; readonly full: number };
  /** How much less work a quick measurement is. */
  readonly quickScale: number;
}
