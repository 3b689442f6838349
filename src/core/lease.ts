/**
 * A node's time-bound right to apply one (sink, partition).
 * A lease saves work; it proves nothing: the watermark in the sink decides whether a slice commits.
 */
export interface Lease {
  readonly sink: string;
  readonly partition: number;
  /** 128 random bits as hex, new at each acquisition. */
  readonly token: string;
}
