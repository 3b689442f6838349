/**
 * A kind of proof that `npm run prove` repeats until the full set is done: histories, kills, cuts. Its items are numbered
 * from 1, and the number decides everything that is left to chance in an item.
 */
export interface ProofPart {
  /** As `--part` takes it. */
  readonly name: string;
  /** What happens, in words of the page, as in "the server is killed at a random moment". */
  readonly title: string;
  /** What is counted, in the plural: "histories", "kills". */
  readonly unit: string;
  /** How many items make the full set; a function where the code under test decides how many there are. */
  readonly target: number | (() => Promise<number>);
  /** The items are all there are, and not drawn from many more: what is rare among them cannot have been missed. */
  readonly isExhaustive?: true;
  /** How many items `npm run verify` does; 0 when it does none. */
  readonly inVerify: number | 'all';
  /** How many items a slice has: some minutes of work at most, because what is interrupted is done again. */
  readonly sliceCount: number;
  /** The command for whoever wants to see it done, as in "npm run prove -- --part seeds". */
  readonly rerun: string;
  /**
   * Files and folders, beside `src` and `package-lock.json`, that decide what is proved. What was counted before one of them
   * changed is not counted for what came after.
   */
  readonly sources: readonly string[];
  /** What must be installed first; undefined when nothing is missing. */
  missing?(): string | undefined;
  /**
   * Does the items of a slice, in any order. When it is aborted it ends what it has started, and resolves with the items that
   * it had finished without a gap from the first on, which may be none. Rejects when nothing can be said about the items.
   */
  run(slice: Slice): Promise<PartResult>;
}

/** A piece of a part. */
export interface Slice {
  /** The first item, from 1. */
  readonly from: number;
  readonly count: number;
  readonly signal: AbortSignal;
  /** Told how many items of the slice are finished. */
  progress(done: number): void;
}

export interface PartResult {
  /** How many items were finished, from the first on: fewer than asked for when it was aborted or could not go on. */
  readonly done: number;
  readonly violations: readonly Violation[];
  readonly figures: Figures;
}

/** A broken promise. */
export interface Violation {
  readonly what: string;
  /** The command that shows it again, as far as that can be had. */
  readonly rerun: string;
}

/**
 * What else was counted, by name in words of the page, unit included: "changes", "virtual hours". Figures of slices are added
 * up; of those whose name begins with "longest", the largest is kept. A list is a sample, such as a number for each item:
 * lists are joined, and the page gives their median and the largest.
 */
export type Figures = Readonly<Record<string, Figure>>;
export type Figure = number | readonly number[];
