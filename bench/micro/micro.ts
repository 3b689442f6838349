/** A piece of code on the way of a change, measured alone. */
export interface Micro {
  readonly name: string;
  readonly title: string;
  /** Makes what is needed, and says what is measured. */
  cases(): readonly MicroCase[];
}

export interface MicroCase {
  readonly name: string;
  /** What `count` counts. */
  readonly unit: string;
  /** Units in one call of `run`. */
  readonly count: number;
  run(): unknown;
}
