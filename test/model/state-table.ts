import type { Applier, Client, Ledger, Link, Model, Queue, Sink, World } from './world.ts';

/** Stands for null among the parts. */
const NO_REPLICA = { replica: 'none' };

/** A Map holds some 16 million entries: several hold as many times more. */
const MAP_COUNT = 16;

/**
 * Every state that was met, numbered from 0 in the order in which they were. A state is stored as the numbers of its parts,
 * and each part once, however many states share it: a step changes few parts, and only those are written out to find
 * whether the state is known. Nothing is hashed, so no state is ever taken for another.
 */
export class StateTable {
  readonly #model: Model;
  readonly #numbers = Array.from({ length: MAP_COUNT }, () => new Map<string, number>());
  readonly #keys: string[] = [];
  readonly #parts = new Map<string, number>();
  readonly #values: object[] = [];
  readonly #known = new WeakMap<object, number>();

  constructor(model: Model) {
    this.#model = model;
  }

  get size(): number {
    return this.#keys.length;
  }

  /** The number of a state; it is new when that is what {@link size} was before. */
  add({ clients, links, appliers, sinks, queue, replica, ledger }: World): number {
    let key = '';
    for (const part of clients) key += this.#codeOf(part);
    for (const part of links) key += this.#codeOf(part);
    for (const part of appliers) key += this.#codeOf(part);
    for (const part of sinks) key += this.#codeOf(part);
    key += this.#codeOf(queue) + this.#codeOf(replica ?? NO_REPLICA) + this.#codeOf(ledger);
    // By the links and the queue, which differ most.
    const numbers = this.#numbers[(key.charCodeAt(2 * clients.length) + key.charCodeAt(key.length - 6)) % MAP_COUNT]!;
    const known = numbers.get(key);
    if (known !== undefined) return known;
    numbers.set(key, this.#keys.length);
    this.#keys.push(key);
    return this.#keys.length - 1;
  }

  at(number: number): World {
    const { clients, nodes, sinks } = this.#model;
    const key = this.#keys[number]!;
    let at = 0;
    const next = () => {
      const part = this.#values[key.charCodeAt(at) + (key.charCodeAt(at + 1) << 16)]!;
      at += 2;
      return part;
    };
    const several = (length: number) => Array.from({ length }, next);
    const world = {
      clients: several(clients) as Client[],
      links: several(clients) as Link[],
      appliers: several(nodes * sinks) as Applier[],
      sinks: several(sinks) as Sink[],
      queue: next() as Queue,
    };
    const replica = next();
    return { ...world, replica: replica === NO_REPLICA ? null : (replica as Queue), ledger: next() as Ledger };
  }

  #codeOf(part: object): string {
    let number = this.#known.get(part);
    if (number === undefined) {
      const text = JSON.stringify(part);
      number = this.#parts.get(text);
      if (number === undefined) {
        number = this.#values.length;
        this.#values.push(part);
        this.#parts.set(text, number);
      }
      this.#known.set(part, number);
    }
    return String.fromCharCode(number & 0xffff, number >>> 16);
  }
}
