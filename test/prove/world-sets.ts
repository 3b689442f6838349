import { countBytes, countMessages, FAULT_KINDS, withCut, withFaults, type Direction } from '../simulation/small-worlds.ts';
import type { History } from '../simulation/simulation.ts';

/** Variants of one short history, numbered from 1. */
export interface WorldSet {
  readonly count: number;
  run(item: number): Promise<WorldRun>;
}

export interface WorldRun {
  /** What went wrong in this variant. */
  readonly what: string;
  readonly history: History;
}

export type WorldSetName = 'single';

/** By the name that `run-worlds.ts` takes; each finds out first how many there are. */
export const WORLD_SETS: Readonly<Record<WorldSetName, () => Promise<WorldSet>>> = { single: singles };

const DIRECTIONS: readonly Direction[] = ['to the node', 'to the client'];

/** Each kind of fault at each message, and the client's connection cut after each byte. */
async function singles(): Promise<WorldSet> {
  const messages = await countMessages();
  const faults = FAULT_KINDS.flatMap((kind) => Array.from({ length: messages }, (_, i) => ({ at: i + 1, kind })));
  const bytesOf = async (direction: Direction) => Array.from({ length: await countBytes(direction) }, (_, bytes) => ({ direction, bytes }));
  const cuts = (await Promise.all(DIRECTIONS.map(bytesOf))).flat();
  return {
    count: faults.length + cuts.length,
    async run(item) {
      const fault = faults[item - 1];
      if (fault !== undefined) return { what: `${fault.kind} at message ${fault.at}`, history: await withFaults([fault]) };
      const cut = cuts[item - 1 - faults.length];
      if (cut === undefined) throw new RangeError(`there is no world ${item}`);
      return { what: `cut after ${cut.bytes} bytes ${cut.direction}`, history: await withCut(cut.direction, cut.bytes) };
    },
  };
}
