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
  /** Called before every `run`, and not measured: for what is not the same the second time, such as text that was read once. */
  prepare?(): void;
  run(): unknown;
}
