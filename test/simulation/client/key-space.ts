import { partitionOf } from '../../../src/core/partition.ts';

export interface KeySpaceOptions {
  /** Keys of this client begin here: no two clients write the same. */
  readonly first: number;
  readonly partitionCount: number;
  readonly hotPartition: number;
  /** Which share of the keys lies in the hot partition whatever their hash; the others lie anywhere. */
  readonly hotShare: number;
}

/** Every index has so many keys to choose from. */
const CHOICE = 64;
const GOLDEN_RATIO = 0.618_033_988_749_895;

/**
 * The keys that a client writes, by their index. In a hot partition streams meet, and its list becomes long, as where
 * partitions are few.
 */
export class KeySpace {
  readonly #options: KeySpaceOptions;

  constructor(options: KeySpaceOptions) {
    this.#options = options;
  }

  key(table: string, index: number): number {
    const { first, partitionCount, hotPartition, hotShare } = this.#options;
    const from = first + index * CHOICE;
    // Spread evenly over the indexes, and the same in every process of the client.
    if ((index * GOLDEN_RATIO) % 1 >= hotShare) return from;
    for (let key = from; key < from + CHOICE; key++) if (partitionOf(table, [key], partitionCount) === hotPartition) return key;
    return from;
  }
}
