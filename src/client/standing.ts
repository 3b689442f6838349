import type { Place, SeqByPartition } from '../core/stream.ts';

/**
 * What the server said on one connection about how far a stream is, by partition. Where the stream has diverged this is
 * more than the lanes know: it may lie beyond what they assigned, or name other content.
 */
export class Standing {
  readonly #stored = new Map<number, number>();
  readonly #applied = new Map<number, number>();

  constructor(stored: ReadonlyMap<number, Place>) {
    for (const [partition, place] of stored) this.#stored.set(partition, place.seq);
  }

  stored(partition: number, seq: number): void {
    if (seq > (this.#stored.get(partition) ?? 0)) this.#stored.set(partition, seq);
  }

  applied(partition: number, seq: number): void {
    if (seq > (this.#applied.get(partition) ?? 0)) this.#applied.set(partition, seq);
    this.stored(partition, seq);
  }

  rewound(partition: number, seq: number): void {
    this.#stored.set(partition, seq);
  }

  /**
   * Whether an answer to everything that was sent has come, and everything that the server stored is applied: then
   * nothing of this stream can still become applied. `reach`: by partition, what was sent, or is known to be applied.
   */
  isFinal(reach: SeqByPartition): boolean {
    // Below what was sent: answers are missing. Below what is applied: the server has not read its sinks yet.
    for (const [partition, seq] of reach) if ((this.#stored.get(partition) ?? 0) < seq) return false;
    for (const [partition, seq] of this.#stored) if ((this.#applied.get(partition) ?? 0) < seq) return false;
    return true;
  }
}
