import type { ProducerHistory } from './producer-process.ts';

/** One line of the audit table, which triggers write at every insert and update of `item`, in the order of commits. */
export interface AuditRow {
  readonly gen: number;
  readonly n: number;
  readonly id: number;
}

/** What the audited table holds at the end. */
export type ItemRow = AuditRow;

/**
 * Compares the client's log with what the database saw, knowing nothing of how it came there: every row that the client
 * made sure of took effect exactly once, no row twice, the rows of a key (every `step`th n) in their order without one
 * missing between them, and the last one of each key is what remains. Returns what is wrong; empty when nothing is.
 *
 * Rows above what the client made sure of may be there or not: it was killed before it knew.
 */
export function auditFaults(history: ProducerHistory, audit: readonly AuditRow[], items: readonly ItemRow[], step: number): string[] {
  const faults: string[] = [...history.complaints];
  const seen = new Map<number, Map<number, number>>();
  const lastOfKey = new Map<number, number>();
  for (const { gen, n, id } of audit) {
    const counts = seen.get(gen) ?? new Map<number, number>();
    seen.set(gen, counts);
    counts.set(n, (counts.get(n) ?? 0) + 1);
    const last = lastOfKey.get(id);
    if (last === undefined ? n > step : n !== last + step) faults.push(`key ${id}: n ${n} took effect after ${last ?? 'nothing'}`);
    lastOfKey.set(id, n);
  }
  for (const [gen, counts] of seen) {
    for (const [n, count] of counts) if (count !== 1) faults.push(`generation ${gen}: n ${n} took effect ${count} times`);
  }
  for (const [gen, sure] of history.spooled) {
    for (let n = 1; n <= sure; n++)
      if (!seen.get(gen)?.has(n)) faults.push(`generation ${gen}: n ${n} is missing, the client had made sure of ${sure}`);
  }
  for (const { id, n } of items)
    if (lastOfKey.get(id) !== n) faults.push(`key ${id}: holds n ${n}, the last one applied was ${lastOfKey.get(id)}`);
  if (items.length !== lastOfKey.size) faults.push(`${items.length} rows remain of ${lastOfKey.size} keys`);
  return faults;
}

/**
 * For a table that keeps the last row of each key only: the keys whose row is older than the client had made sure of, or
 * missing. The key of n is `gen * step + n % step`.
 */
export function staleKeys(history: ProducerHistory, items: readonly ItemRow[], step: number): string[] {
  const last = new Map(items.map(({ id, n }) => [id, n]));
  const stale: string[] = [];
  for (const [gen, sure] of history.spooled) {
    for (let n = Math.max(1, sure - step + 1); n <= sure; n++) {
      const id = gen * step + (n % step);
      if ((last.get(id) ?? 0) < n) stale.push(`key ${id}: holds n ${last.get(id) ?? 'nothing'}, the client had made sure of ${n}`);
    }
  }
  return stale;
}
