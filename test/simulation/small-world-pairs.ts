import { type PlannedFault, singleFaults, type SmallWorld, withFaults } from './small-worlds.ts';

/** Two faults in one small history; the second strikes in what the first has made of it. */
export type Pair = readonly [PlannedFault, PlannedFault];

/**
 * Every pair of faults in a small history, numbered from 0: each fault from the client's first message on, with each one
 * that a later moment of the history has room for in which the first has struck. So the second also strikes what starts
 * again, catches up and repeats because of the first.
 */
export class Pairs {
  readonly #firsts: readonly First[];

  private constructor(firsts: readonly First[]) {
    this.#firsts = firsts;
  }

  /** Runs the history of every first fault once, to see what can follow it: some hundreds. */
  static async enumerate(): Promise<Pairs> {
    const { moments } = await withFaults([]);
    const begin = moments.findIndex(({ what }) => what.startsWith('client')) + 1;
    const firsts: First[] = [];
    let from = 0;
    for (const fault of (await singleFaults()).filter(({ at }) => at >= begin)) {
      const first = { fault, seconds: secondsOf(fault, await withFaults([fault])), from };
      firsts.push(first);
      from += first.seconds.length;
    }
    return new Pairs(firsts);
  }

  get count(): number {
    const last = this.#firsts.at(-1);
    return last === undefined ? 0 : last.from + last.seconds.length;
  }

  at(index: number): Pair {
    const first = this.#firsts.findLast(({ from }) => from <= index);
    const second = first?.seconds[index - first.from];
    if (first === undefined || second === undefined) throw new RangeError(`there is no pair ${index} of ${this.count}`);
    return [first.fault, second];
  }
}

interface First {
  readonly fault: PlannedFault;
  readonly seconds: readonly PlannedFault[];
  /** The number of its first pair. */
  readonly from: number;
}

/** What can go wrong in a history after its fault. */
export function secondsOf(first: PlannedFault, { moments }: SmallWorld): PlannedFault[] {
  return moments.slice(first.at).flatMap(({ at, kinds }) => kinds.map((kind) => ({ at, kind })));
}
