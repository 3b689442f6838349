import { Pairs } from '../simulation/small-world-pairs.ts';
import { countBytes, type Direction, singleFaults, textOf, withCut, withFaults } from '../simulation/small-worlds.ts';
import type { History } from '../simulation/simulation.ts';

/** Variants of one short history, numbered from 1. */
export interface WorldSet {
  readonly count: number;
  /** `trace` is told of everything that happens, one line each. */
  run(item: number, trace?: (line: string) => void): Promise<WorldRun>;
}

export interface WorldRun {
  /** What went wrong in this variant. */
  readonly what: string;
  readonly history: History;
}

export type WorldSetName = 'single' | 'two-nodes' | 'pair';

/** By the name that `run-worlds.ts` takes; each finds out first how many there are. */
export const WORLD_SETS: Readonly<Record<WorldSetName, () => Promise<WorldSet>>> = {
  single: singles,
  'two-nodes': ofTwoNodes,
  pair: pairs,
};

const DIRECTIONS: readonly Direction[] = ['to the node', 'to the client'];

/** Each kind of fault wherever it can strike, and the client's connection cut after each byte. */
async function singles(): Promise<WorldSet> {
  const faults = await singleFaults();
  const bytesOf = async (direction: Direction) => Array.from({ length: await countBytes(direction) }, (_, bytes) => ({ direction, bytes }));
  const cuts = (await Promise.all(DIRECTIONS.map(bytesOf))).flat();
  return {
    count: faults.length + cuts.length,
    async run(item, trace) {
      const fault = faults[item - 1];
      if (fault !== undefined) return { what: textOf([fault]), history: (await withFaults([fault], trace)).history };
      const cut = cuts[item - 1 - faults.length];
      if (cut === undefined) throw new RangeError(`there is no world ${item}`);
      return { what: `cut after ${cut.bytes} bytes ${cut.direction}`, history: await withCut(cut.direction, cut.bytes, trace) };
    },
  };
}

/** Each kind of fault wherever it can strike a pair of nodes, of which one leads. */
async function ofTwoNodes(): Promise<WorldSet> {
  const faults = await singleFaults('a pair');
  return {
    count: faults.length,
    async run(item, trace) {
      const fault = faults[item - 1];
      if (fault === undefined) throw new RangeError(`there is no world ${item}`);
      return { what: textOf([fault]), history: (await withFaults([fault], trace, 'a pair')).history };
    },
  };
}

/** Each fault from the client's first message on, and each that can strike after it. */
async function pairs(): Promise<WorldSet> {
  const all = await Pairs.enumerate();
  return {
    count: all.count,
    async run(item, trace) {
      const pair = all.at(item - 1);
      return { what: textOf(pair), history: (await withFaults(pair, trace)).history };
    },
  };
}
