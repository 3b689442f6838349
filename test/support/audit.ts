import type { ProducerHistory } from './producer-process.ts';

/** One line of the audit table, which triggers write at every insert and update of `item`, in the order of commits. */
export interface AuditRow {
  readonly gen: number;
  readonly n: number;
  readonly id: number;
}

/** What the audited table holds at the end. */
export type ItemRow = AuditRow;

/** What is wrong, sentence by sentence. */
export interface AuditFaults {
  readonly lost: readonly string[];
  readonly duplicated: readonly string[];
  readonly outOfOrder: readonly string[];
  /** What the client complained about, and tables that do not hold what was applied to them. */
  readonly other: readonly string[];
}

/**
 * Compares the client's log with what the database saw, knowing nothing of how it came there: every row that the client
 * made sure of took effect exactly once, no row twice, the rows of a key (every `step`th n) in their order without one
 * missing between them, and the last one of each key is what remains. Returns what is wrong; empty when nothing is.
 *
 * Rows above what the client made sure of may be there or not: it was killed before it knew.
 */
export function auditFaults(history: ProducerHistory, audit: readonly AuditRow[], items: readonly ItemRow[], step: number): string[] {
  const { lost, duplicated, outOfOrder, other } = auditEffects(history, audit, items, step);
  return [...other, ...outOfOrder, ...duplicated, ...lost];
}

/** As {@link auditFaults}, by kind. */
export function auditEffects(history: ProducerHistory, audit: readonly AuditRow[], items: readonly ItemRow[], step: number): AuditFaults {
  const lost: string[] = [];
  const duplicated: string[] = [];
  const outOfOrder: string[] = [];
  const other: string[] = [...history.complaints];
  const seen = new Map<number, Map<number, number>>();
  const lastOfKey = new Map<number, number>();
  for (const { gen, n, id } of audit) {
    const counts = seen.get(gen) ?? new Map<number, number>();
    seen.set(gen, counts);
    counts.set(n, (counts.get(n) ?? 0) + 1);
    const last = lastOfKey.get(id);
    if (last === undefined ? n > step : n !== last + step) outOfOrder.push(`key ${id}: n ${n} took effect after ${last ?? 'nothing'}`);
    lastOfKey.set(id, n);
  }
  for (const [gen, counts] of seen) {
    for (const [n, count] of counts) if (count !== 1) duplicated.push(`generation ${gen}: n ${n} took effect ${count} times`);
  }
  for (const [gen, sure] of history.spooled) {
    for (let n = 1; n <= sure; n++)
      if (!seen.get(gen)?.has(n)) lost.push(`generation ${gen}: n ${n} is missing, the client had made sure of ${sure}`);
  }
  for (const { id, n } of items)
    if (lastOfKey.get(id) !== n) other.push(`key ${id}: holds n ${n}, the last one applied was ${lastOfKey.get(id)}`);
  if (items.length !== lastOfKey.size) other.push(`${items.length} rows remain of ${lastOfKey.size} keys`);
  return { lost, duplicated, outOfOrder, other };
}

/** What an audit saw, and what of it came a second time and was allowed to. */
export interface SplitAudit {
  readonly audit: readonly AuditRow[];
  /** As the table would be without the repeats. */
  readonly items: readonly ItemRow[];
  readonly outOfOrder: readonly string[];
}

/**
 * Takes out of an audit the second effects of `repeatable` changes (see {@link changeName}), which a client holds that was
 * restored from an old copy. They must come in the order of their keys, too; a third effect stays in.
 */
export function splitRepeats(audit: readonly AuditRow[], items: readonly ItemRow[], repeatable: ReadonlySet<string>): SplitAudit {
  if (repeatable.size === 0) return { audit, items, outOfOrder: [] };
  const seen = new Set<string>();
  const repeated = new Set<string>();
  const outOfOrder: string[] = [];
  const lastRepeat = new Map<number, number>();
  const lastOfKey = new Map<number, number>();
  const lastFirst = new Map<number, number>();
  const firsts: AuditRow[] = [];
  for (const row of audit) {
    const name = changeName(row);
    lastOfKey.set(row.id, row.n);
    if (!seen.has(name) || repeated.has(name) || !repeatable.has(name)) {
      seen.add(name);
      lastFirst.set(row.id, row.n);
      firsts.push(row);
      continue;
    }
    repeated.add(name);
    const last = lastRepeat.get(row.id) ?? 0;
    if (row.n < last) outOfOrder.push(`key ${row.id}: n ${row.n} took effect again after ${last}`);
    lastRepeat.set(row.id, row.n);
  }
  const before = (item: ItemRow) => (lastOfKey.get(item.id) === item.n ? { ...item, n: lastFirst.get(item.id) ?? item.n } : item);
  return { audit: firsts, items: items.map(before), outOfOrder };
}

export function changeName({ gen, n }: { readonly gen: number; readonly n: number }): string {
  return `${gen} ${n}`;
}

/** A dead letter of table `strict`. */
export interface LetterRow {
  readonly gen: number;
  readonly n: number;
}

/**
 * Every `step`th row that the client made sure of is one that the database refuses: it must be a dead letter exactly
 * once, and the client must have been told.
 */
export function auditLetters(
  { spooled, refused }: ProducerHistory,
  letters: readonly LetterRow[],
  step: number,
  repeatable: ReadonlySet<string> = new Set(),
): AuditFaults {
  const lost: string[] = [];
  const duplicated: string[] = [];
  const counts = new Map<string, number>();
  for (const letter of letters) counts.set(changeName(letter), (counts.get(changeName(letter)) ?? 0) + 1);
  for (const [place, count] of counts)
    if (count > (repeatable.has(place) ? 2 : 1)) duplicated.push(`refused row ${place} is a dead letter ${count} times`);
  for (const [gen, sure] of spooled) {
    for (let n = step; n <= sure; n += step) {
      if (!counts.has(`${gen} ${n}`)) lost.push(`refused row ${gen} ${n} is no dead letter`);
      if (!refused.has(`${gen} ${n}`)) lost.push(`refused row ${gen} ${n} was not told to the client`);
    }
  }
  return { lost, duplicated, outOfOrder: [], other: [] };
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
