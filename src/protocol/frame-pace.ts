/** Whoever sends a frame sends at least so much of it, in bytes per second, once it is late. */
const MIN_BYTES_PER_SECOND = 1_000;
/** In heartbeats, what any frame may take. */
const GRACE_HEARTBEATS = 2.5;

/**
 * Whether to wait no longer for the rest of a frame of which `bytes` came in `elapsedMs`: its length may have been damaged
 * on the way, and whatever is sent now, PINGs and PONGs too, would be taken for its payload.
 */
export function isStalled(bytes: number, elapsedMs: number, heartbeatMs: number): boolean {
  return elapsedMs >= heartbeatMs * GRACE_HEARTBEATS && bytes < (elapsedMs / 1_000) * MIN_BYTES_PER_SECOND;
}
