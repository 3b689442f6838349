import type { SeededRandom } from '../support/seeded-random.ts';
import type { Installation } from './failpoints.ts';
import type { FaultWorld, WorldOptions } from './fault-world.ts';

/** A kind of fault, injected again and again into a system under load. */
export interface Scenario {
  readonly name: string;
  /** What happens, as in "the server is killed". */
  readonly what: string;
  readonly installation: Installation;
  /** The server may end by itself, and is started again then, as whoever runs it would do. */
  readonly supervised?: true;
  /** Makes what the installation needs beyond the usual; undefined with a reason where that is not possible here. */
  readonly ground?: () => Ground | Unavailable;
  /**
   * Injects one fault and takes away its cause. Calls `world.struck()` when things begin to go wrong. Afterwards, rows are
   * applied again; who calls this waits for that.
   */
  strike(world: FaultWorld, turn: Turn): Promise<void>;
}

export interface Turn {
  /** Decides everything that is left to chance, of all turns. */
  readonly seed: number;
  /** Counts from 0. */
  readonly round: number;
  /** Of this turn. */
  readonly random: SeededRandom;
}

/** Something that a world stands on. */
export interface Ground {
  readonly options: WorldOptions;
  remove(): void;
}

export interface Unavailable {
  readonly unavailable: string;
}
