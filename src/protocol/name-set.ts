import { readUtf8, textSource } from '../core/platform.ts';

/**
 * The distinct names in one payload, kept as ranges of its bytes: an open-addressing hash set that allocates only when
 * it outgrows what it held before.
 */
export class NameSet {
  readonly #limit: number;
  #bytes: Uint8Array = new Uint8Array(0);
  #count = 0;
  /** Where names begin and how long they are, in the order in which they were added. */
  #starts = new Int32Array(MIN_NAMES);
  #lengths = new Int32Array(MIN_NAMES);
  #slotOf = new Int32Array(MIN_NAMES);
  /** Index of a name + 1, by hash; twice as many slots as names at least. 0 is free. */
  #slots = new Int32Array(MIN_NAMES * 2);

  /** `limit` is the most names a set can hold. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Empties the set; names are ranges of `bytes` from here on. */
  begin(bytes: Uint8Array): void {
    this.#bytes = bytes;
    // One by one: after a large payload the slots are many and the names of the next one few.
    for (let i = 0; i < this.#count; i++) this.#slots[this.#slotOf[i]!] = 0;
    this.#count = 0;
  }

  /** `full` also for a name that too many others collide with: nobody but an attacker makes such names. */
  add(start: number, length: number): 'added' | 'present' | 'full' {
    const mask = this.#slots.length - 1;
    let slot = hash(this.#bytes, start, length) & mask;
    for (let probe = 1; probe <= MAX_PROBES; probe++) {
      const index = this.#slots[slot]! - 1;
      if (index < 0) return this.#insert(slot, start, length);
      if (this.#equals(index, start, length)) return 'present';
      slot = (slot + probe) & mask;
    }
    return 'full';
  }

  /** The names, in the order in which they were added. */
  names(): string[] {
    const source = textSource(this.#bytes);
    const names: string[] = [];
    for (let i = 0; i < this.#count; i++) {
      const start = this.#starts[i]!;
      names.push(readUtf8(source, start, start + this.#lengths[i]!));
    }
    return names;
  }

  #insert(slot: number, start: number, length: number): 'added' | 'full' {
    if (this.#count === this.#limit) return 'full';
    this.#starts[this.#count] = start;
    this.#lengths[this.#count] = length;
    this.#slotOf[this.#count] = slot;
    this.#slots[slot] = ++this.#count;
    if (this.#count === this.#starts.length) this.#grow();
    return 'added';
  }

  #equals(index: number, start: number, length: number): boolean {
    if (this.#lengths[index] !== length) return false;
    const other = this.#starts[index]!;
    for (let i = 0; i < length; i++) if (this.#bytes[other + i] !== this.#bytes[start + i]) return false;
    return true;
  }

  #grow(): void {
    const starts = new Int32Array(this.#starts.length * 2);
    const lengths = new Int32Array(starts.length);
    this.#slotOf = new Int32Array(starts.length);
    starts.set(this.#starts);
    lengths.set(this.#lengths);
    this.#starts = starts;
    this.#lengths = lengths;
    this.#slots = new Int32Array(starts.length * 2);
    const mask = this.#slots.length - 1;
    for (let i = 0; i < this.#count; i++) {
      let slot = hash(this.#bytes, starts[i]!, lengths[i]!) & mask;
      for (let probe = 1; this.#slots[slot] !== 0; probe++) slot = (slot + probe) & mask;
      this.#slots[slot] = i + 1;
      this.#slotOf[i] = slot;
    }
  }
}

const MIN_NAMES = 32;
/** A quarter of this is never reached by names that were not made to collide. */
const MAX_PROBES = 64;

/** FNV-1a, with its bits spread at the end because the slots use the low ones. */
function hash(bytes: Uint8Array, start: number, length: number): number {
  let h = 0x811c9dc5;
  for (let i = start; i < start + length; i++) h = Math.imul(h ^ bytes[i]!, 0x01000193);
  h ^= h >>> 15;
  h = Math.imul(h, 0x2c1b3c6d);
  return h ^ (h >>> 13);
}
