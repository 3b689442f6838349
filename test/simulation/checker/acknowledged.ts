import type { SimClient } from '../client/sim-client.ts';
import type { RestorableView } from './restorable-view.ts';
import type { SinkWatch } from './sink-watch.ts';

/** Holds what clients are told, and what they forget, against the database at that moment. */
export class Acknowledged {
  readonly #view: RestorableView;
  readonly #watch: SinkWatch;
  readonly #fault: (message: string) => void;

  constructor(view: RestorableView, watch: SinkWatch, fault: (message: string) => void) {
    this.#view = view;
    this.#watch = watch;
    this.#fault = fault;
  }

  /**
   * APPLIED is told only where the database has it. What was said before a backup was restored may still be on its way, over
   * connections that were made before.
   */
  told(client: SimClient, stream: string, partition: number, seq: number, restoreCount: number): void {
    const isOld = restoreCount < this.#view.restoreCount;
    const reached = isOld ? this.#watch.everApplied(stream, partition) : this.#watch.watermark(stream, partition);
    this.#settled(client, stream, partition, seq, reached, 'was told');
  }

  /** A frame is forgotten only where the database has it, or the client was told so before a backup was restored. */
  forgot(client: SimClient, stream: string, partition: number, seq: number): void {
    const told = client.ledger.applied.get(`${stream} ${partition}`) ?? 0;
    const reached = Math.max(this.#watch.watermark(stream, partition), Math.min(told, this.#watch.everApplied(stream, partition)));
    this.#settled(client, stream, partition, seq, reached, 'forgot');
  }

  /** `reached`: how far the database is, or may be said to be. Of every dead letter up to there the client must know. */
  #settled(client: SimClient, stream: string, partition: number, seq: number, reached: number, how: string): void {
    const place = `${stream} ${partition} ${seq}`;
    if (seq > reached) return this.#fault(`${client.host.name} ${how} ${place} as applied, and the database is at ${reached}`);
    for (const letter of this.#watch.letters(stream, partition)) {
      if (letter.seq > seq) continue;
      const batch = client.ledger.byPlace.get(letter.batch);
      if (batch !== undefined && !batch.rejected.has(letter.index))
        return this.#fault(`${client.host.name} ${how} ${place} as applied, and not that ${letter.seq} is a dead letter`);
    }
  }
}
