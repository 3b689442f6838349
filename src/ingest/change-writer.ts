import type { ChangeGroup } from '../core/change.ts';

/** Where doors bring changes that come without a stream: into streams of this node, one for each producer. */
export interface ChangeWriter {
  /**
   * Takes all of `groups`, or nothing when there is no room: returns which. What was taken goes to the queue as soon as that
   * takes it, each row in its partition, and nobody hears of it again. `byteCount` is what they took on the way.
   */
  write(producer: string, groups: readonly ChangeGroup[], byteCount: number): boolean;
}
