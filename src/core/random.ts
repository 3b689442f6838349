import { toHex } from './hex.ts';
import { fillRandom } from './platform.ts';

/** Randomness as everything but the composition roots sees it, so that a simulation can seed it. */
export interface Random {
  /** Fills `target` with random bytes. */
  fill(target: Uint8Array): void;
  /** A float in [0, 1), for jitter. */
  fraction(): number;
}

export const systemRandom: Random = {
  fill: fillRandom,
  fraction: () => Math.random(),
};

/** `byteCount` random bytes as lower-case hex. */
export function randomHex(random: Random, byteCount: number): string {
  const bytes = new Uint8Array(byteCount);
  random.fill(bytes);
  return toHex(bytes);
}

/** Full-jitter exponential backoff: for the n-th failure in a row (from 1), a delay in [base/2, cap]. */
export function backoffMs(random: Random, failureCount: number, baseMs: number, capMs: number): number {
  const ceiling = Math.min(capMs, baseMs * 2 ** Math.min(failureCount - 1, 20));
  return ceiling / 2 + (random.fraction() * ceiling) / 2;
}
