import type { Metrics } from '../admin/metrics.ts';
import type { Node } from './node.ts';

/** Carries what the doors have counted into the metrics; the hot path itself only counts. */
export class IngestCounts {
  readonly #metrics: Metrics;
  #node: Pick<Node, 'sessions' | 'appender'> | undefined;
  readonly #told = {
    frames: 0,
    bytes: 0,
    refusedFrames: 0,
    refused: 0,
    paced: { bytes: 0, changes: 0 },
    errors: new Map<string, number>(),
  };

  constructor(metrics: Metrics) {
    this.#metrics = metrics;
  }

  watch(node: Pick<Node, 'sessions' | 'appender'>): void {
    this.#node = node;
  }

  /** Tells the metrics what has come since the last reading. */
  read(): void {
    if (this.#node === undefined) return;
    const { stored, storedBytes, refusals } = this.#node.appender.counters;
    this.#metrics.stored(stored - this.#told.frames, storedBytes - this.#told.bytes);
    this.#told.frames = stored;
    this.#told.bytes = storedBytes;
    this.#metrics.refusedFrames(refusals - this.#told.refusedFrames);
    this.#told.refusedFrames = refusals;
    const { refused, errors, paced } = this.#node.sessions.counters;
    for (; this.#told.refused < refused; this.#told.refused++) this.#metrics.connectionRefused('too_many_connections');
    for (const rate of ['bytes', 'changes'] as const) {
      this.#metrics.rateLimited(rate, paced[rate] - this.#told.paced[rate]);
      this.#told.paced[rate] = paced[rate];
    }
    for (const [code, count] of errors) {
      for (let told = this.#told.errors.get(code) ?? 0; told < count; told++) this.#metrics.connectionRefused(code);
      this.#told.errors.set(code, count);
    }
  }
}
