import { strict as assert } from 'node:assert';
import type { PartitionClaims } from './sink.ts';

/** Holds callers to what {@link Sink.begin} asks of them: a partition that came twice would be applied twice. */
export function assertDistinct(claims: readonly PartitionClaims[]): void {
  assert(new Set(claims.map(({ partition }) => partition)).size === claims.length, 'no partition comes twice in a transaction');
}
