/** How many inputs the tests try. */
export const FRAMES_IN_VERIFY = 1_000_000;
export const SOCKETS_IN_VERIFY = 20_000;

/** What came of fuzzing. */
export interface FuzzReport {
  /** Inputs that were tried, from the first on. */
  readonly done: number;
  /** Each with the inputs that show it again. */
  readonly violations: readonly string[];
  /** Batches that were taken; 0 where that is not counted. */
  readonly accepted: number;
  readonly connections: number;
  /** How much more memory was held at the end than after a while, MiB. */
  readonly grownMib: number;
}
