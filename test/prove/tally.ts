import { addFigures, rounded } from './figures.ts';
import type { LedgerEntry } from './ledger-entry.ts';
import type { Figures, Violation } from './part.ts';

/** What the entries of one part and one state of the source come to. */
export interface Tally {
  readonly done: number;
  readonly violations: readonly Violation[];
  readonly seconds: number;
  readonly figures: Figures;
}

/** Items that are still to be done. */
export interface Gap {
  readonly from: number;
  readonly count: number;
}

/**
 * What is known from `published` entries and others, each item counted once per state of the source: an entry that
 * overlaps one before it gives its violations and nothing else. Entries that belong together are one. It makes no difference
 * whether entries come a second time.
 */
export function settle(published: readonly LedgerEntry[], others: readonly LedgerEntry[]): LedgerEntry[] {
  const groups = Map.groupBy([...published, ...others], ({ part, source }) => `${part} ${source}`);
  return [...groups.values()].flatMap((group) => joined(withoutOverlaps(group)));
}

export function tallyOf(entries: readonly LedgerEntry[]): Tally {
  return {
    done: entries.reduce((sum, { count }) => sum + count, 0),
    violations: entries.flatMap(({ violations }) => violations),
    seconds: entries.reduce((sum, { seconds }) => sum + seconds, 0),
    figures: entries.reduce<Figures>((sum, { figures }) => addFigures(sum, figures), {}),
  };
}

/** The first items up to `target` that no entry has, of settled entries of one part and state; undefined when all are done. */
export function firstGap(entries: readonly LedgerEntry[], target: number): Gap | undefined {
  let from = 1;
  for (const entry of entries.toSorted((a, b) => a.from - b.from)) {
    if (entry.from > from) return from > target ? undefined : { from, count: Math.min(entry.from, target + 1) - from };
    from = Math.max(from, entry.from + entry.count);
  }
  return from > target ? undefined : { from, count: target + 1 - from };
}

function withoutOverlaps(entries: readonly LedgerEntry[]): LedgerEntry[] {
  const kept: LedgerEntry[] = [];
  for (const entry of entries) {
    const at = kept.findIndex((one) => overlap(one, entry));
    if (at < 0) kept.push(entry);
    else kept[at] = withViolations(kept[at]!, entry.violations);
  }
  return kept;
}

function overlap(a: LedgerEntry, b: LedgerEntry): boolean {
  return a.from < b.from + b.count && b.from < a.from + a.count;
}

function joined(entries: readonly LedgerEntry[]): LedgerEntry[] {
  const result: LedgerEntry[] = [];
  for (const entry of entries.toSorted((a, b) => a.from - b.from)) {
    const last = result.at(-1);
    if (last !== undefined && belongTogether(last, entry)) result[result.length - 1] = join(last, entry);
    else result.push(entry);
  }
  return result;
}

function belongTogether(one: LedgerEntry, next: LedgerEntry): boolean {
  const key = ({ commit, target, machine: { cpu, cores, node, os } }: LedgerEntry) => [commit, target, cpu, cores, node, os].join(' ');
  return one.from + one.count === next.from && key(one) === key(next);
}

function join(one: LedgerEntry, next: LedgerEntry): LedgerEntry {
  return {
    ...withViolations(one, next.violations),
    count: one.count + next.count,
    seconds: rounded(one.seconds + next.seconds),
    figures: addFigures(one.figures, next.figures),
    date: one.date > next.date ? one.date : next.date,
  };
}

function withViolations(entry: LedgerEntry, more: readonly Violation[]): LedgerEntry {
  const isNew = ({ what, rerun }: Violation) => !entry.violations.some((one) => one.what === what && one.rerun === rerun);
  return { ...entry, violations: [...entry.violations, ...more.filter(isNew)] };
}
