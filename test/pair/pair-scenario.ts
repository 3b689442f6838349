import type { Turn } from '../fault/scenario.ts';
import type { PairOptions } from './pair-parts.ts';
import type { PairWorld } from './pair-world.ts';

/** A kind of fault, injected again and again into a pair under load. */
export interface PairScenario {
  readonly name: string;
  /** What happens, as in "the node that leads is killed". */
  readonly what: string;
  readonly world: PairOptions;
  readonly reach: Reach;
  /** Clients may be told nothing but that a connection is gone and that there is another. */
  readonly isQuiet?: true;
  /** Who leads, and what the balancer says of it, is looked at all the time. */
  readonly isWatched?: true;
  /** Why it is not possible here; undefined when it is. */
  readonly missing?: () => string | undefined;
  /**
   * Injects one fault. Calls `world.struck()` when things begin to go wrong. Afterwards, whoever calls this waits until
   * changes are applied again, and repairs what does not run.
   * @returns what the reach is counted from, when that is not the strike.
   */
  strike(world: PairWorld, turn: Turn): Promise<Strike | void>;
}

/** What the design aims at: the median of the strikes is held against it. */
export interface Reach {
  readonly ms: number;
  /** How it comes about, as in "lease 3 s + 1 s". */
  readonly text: string;
  /**
   * What is measured. `recovery`: until a change that was written after the strike is applied, on every partition.
   * `standstill`: the longest time in which one partition applied nothing.
   */
  readonly of: 'recovery' | 'standstill';
}

export interface Strike {
  /** When whatever had been killed answered again, by the monotonic clock: a recovery is counted from there. */
  readonly countedFromMs: number;
}
