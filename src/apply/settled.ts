/**
 * What two partitions store at the same time, they may store in either order, even if one producer sent it in another.
 * So a change that depends on another partition waits for what was stored there up to this much later.
 */
export const BLOCKED_GRACE_MS = 1_000;

/** The head of another partition, as far as it matters for a change that waits. */
export interface OtherHead {
  readonly partition: number;
  /** µs; undefined when nothing waits there. */
  readonly storedAtUs: number | undefined;
  /** It waits for other partitions too, or is another node's: then it may not move before we do. */
  readonly mayStand: boolean;
}

/**
 * Up to which store time a failure that other partitions could have prevented is final, as far as it matters for an
 * element of `partition` stored at `blockedAtUs`; 0 when something that matters is still waiting elsewhere.
 *
 * A partition that moves must have applied what it stored until {@link BLOCKED_GRACE_MS} later. One that may stand still
 * until we have moved must have passed our element itself; equal times are ordered by partition, so that of several that
 * wait for one another one goes first. At most `upToUs`, which must itself be that long ago.
 */
export function settledUpTo(partition: number, others: readonly OtherHead[], blockedAtUs: number, upToUs: number): number {
  let settled = upToUs;
  for (const { partition: other, storedAtUs, mayStand } of others) {
    if (other === partition || storedAtUs === undefined) continue;
    const graceUs = mayStand ? 0 : BLOCKED_GRACE_MS * 1000;
    // What stands still may move again once our element is out of the way: the next one must be tried anew.
    if (mayStand) settled = Math.min(settled, blockedAtUs);
    settled = Math.min(settled, storedAtUs - graceUs - (other > partition ? 0 : 1));
  }
  return settled >= blockedAtUs ? settled : 0;
}
