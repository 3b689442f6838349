import { lettersOf, type LetterPlace, letterPlaceOf, type SinkView, watermarkLaneOf, watermarksOf } from './sink-view.ts';

/**
 * Watermarks and dead letters of a database that commits, kept from what has been committed since they were asked for
 * last: they are asked for with every acknowledgement, and the tables grow.
 */
export class SinkWatch {
  readonly #view: SinkView;
  #watermarks = new Map<string, number>();
  #letters = new Map<string, LetterPlace[]>();
  /** Effects that are in there. */
  #seen = 0;

  constructor(view: SinkView) {
    this.#view = view;
  }

  watermark(stream: string, partition: number): number {
    this.#follow();
    return this.#watermarks.get(`${stream} ${partition}`) ?? 0;
  }

  /** Grows with every batch that is applied in a partition, as long as no backup is restored. */
  applied(partition: number): number {
    this.#follow();
    let sum = 0;
    for (const [lane, seq] of this.#watermarks) if (lane.endsWith(` ${partition}`)) sum += seq;
    return sum;
  }

  /** Up to where a partition of a stream is in the database, or was before a backup was restored. */
  everApplied(stream: string, partition: number): number {
    return Math.max(this.watermark(stream, partition), this.#view.takenBack.get(`${stream} ${partition}`) ?? 0);
  }

  letters(stream: string, partition: number): readonly LetterPlace[] {
    this.#follow();
    return this.#letters.get(`${stream} ${partition}`) ?? [];
  }

  /** Reads everything again: to be called when an older state was put in place of what there was. */
  restored(): void {
    this.#seen = this.#view.effects.length;
    this.#watermarks = watermarksOf(this.#view);
    this.#letters = Map.groupBy(lettersOf(this.#view), ({ stream, partition }) => `${stream} ${partition}`);
  }

  #follow(): void {
    const { effects } = this.#view;
    for (; this.#seen < effects.length; this.#seen++) {
      const { table, row } = effects[this.#seen]!;
      if (table !== 'syncline_watermark' && table !== 'syncline_dead_letter') continue;
      if (row === undefined) {
        // How far a stream was that is ended still counts.
        if (table === 'syncline_watermark') continue;
        return this.restored();
      }
      if (table === 'syncline_watermark') this.#watermarks.set(watermarkLaneOf(row), Number(row['seq']));
      else this.#addLetter(letterPlaceOf(row));
    }
  }

  #addLetter(letter: LetterPlace): void {
    const lane = `${letter.stream} ${letter.partition}`;
    const letters = this.#letters.get(lane);
    if (letters === undefined) this.#letters.set(lane, [letter]);
    else letters.push(letter);
  }
}
