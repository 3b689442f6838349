import type { Histogram } from 'node:perf_hooks';

/** What a producer thread is to do. */
export interface ProducerPlan {
  readonly url: string;
  readonly token: string | undefined;
  readonly table: string;
  /** Bytes of text in each row. */
  readonly size: number;
  /** Its rows: `firstKey`, `firstKey + keyStep`, … so that no other producer writes them. */
  readonly firstKey: number;
  readonly keyStep: number;
  readonly keys: number;
  readonly changesPerSecond: number;
  readonly seconds: number;
}

/** From a producer thread: once it is connected, several times a second, and at its end. */
export interface ProducerNews {
  readonly type: 'connected' | 'progress' | 'ended';
  readonly sent: number;
  readonly applied: number;
  readonly rejected: number;
  readonly pending: number;
  /** From when a change was due to when it was applied, in µs; what came since the last news. */
  readonly latency: Histogram;
  /** Why nothing goes out, or why it ended early. */
  readonly trouble: string | undefined;
}

/** To a producer thread. */
export type ProducerCommand = 'go' | 'stop';
