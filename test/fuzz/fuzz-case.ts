/** A sequence of inputs that belong together. */
export interface FuzzCase {
  /** Throws what is wrong. */
  run(inputs: number): Promise<void> | void;
  /** What was sent last, on one connection, in hex. */
  readonly sent: string;
  /** Batches that were taken. */
  readonly accepted: number;
  readonly connections: number;
}

/** Small, so that what is too large costs little to make. */
export const MAX_FRAME_BYTES = 65_536;
