import { changeBytes, type Unit } from './changes.ts';

/** The last of what was sent to replicas, so that one that was away for a moment need not copy everything. */
export class Backlog {
  readonly #limitBytes: number;
  #units: { readonly unit: Unit; readonly bytes: number }[] = [];
  #bytes = 0;
  /** The offset before the first unit that is kept. */
  #from: number;

  constructor(limitBytes: number, from: number) {
    this.#limitBytes = limitBytes;
    this.#from = from;
  }

  add(unit: Unit): void {
    const bytes = changeBytes(unit.changes);
    this.#units.push({ unit, bytes });
    this.#bytes += bytes;
    while (this.#bytes > this.#limitBytes) {
      const first = this.#units.shift()!;
      this.#bytes -= first.bytes;
      this.#from = first.unit.to;
    }
  }

  /** What came after `offset`; undefined when a part of it is not there any more, or never was. */
  after(offset: number): Unit[] | undefined {
    if (offset < this.#from || offset > (this.#units.at(-1)?.unit.to ?? this.#from)) return undefined;
    return this.#units.map(({ unit }) => unit).filter(({ to }) => to > offset);
  }
}
