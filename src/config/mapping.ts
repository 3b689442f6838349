import { createHash } from 'node:crypto';
import type { PartitionBy } from '../core/partition.ts';

/**
 * Digest of every table's `partitionBy`, as recorded in queue and sink: empty when none is configured, else 32 hex
 * digits. The order in which tables stand in the configuration does not count.
 */
export function mappingDigest(tables: ReadonlyMap<string, { readonly partitionBy?: PartitionBy | undefined }>): string {
  const mapped: [table: string, group: string, columns: readonly string[]][] = [];
  for (const [name, { partitionBy }] of tables) {
    if (partitionBy !== undefined) mapped.push([name, partitionBy.group, partitionBy.columns]);
  }
  if (mapped.length === 0) return '';
  mapped.sort(([a], [b]) => (a < b ? -1 : 1));
  return createHash('sha256').update(JSON.stringify(mapped)).digest('hex').slice(0, 32);
}
