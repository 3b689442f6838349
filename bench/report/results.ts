import { isDeepStrictEqual } from 'node:util';
import type { Figures, Verdict } from '../comparison.ts';
import type { Rounds } from '../rounds.ts';
import { ratiosOf, spreadOf, type Spread } from '../statistics.ts';
import type { Machine, Occasion } from './machine.ts';

/** What one run found, or several on one machine: the contents of `docs/performance.json`. */
export interface Results {
  /** Quick runs show that it works, and little else. */
  readonly quick: boolean;
  readonly machine: Machine;
  readonly comparisons: readonly ComparisonResult[];
}

export interface ComparisonResult {
  readonly name: string;
  readonly title: string;
  readonly pairs: number;
  /** The part of the work that was done: 1 is all of it. */
  readonly scale: number;
  readonly occasion: Occasion;
  readonly sides: readonly SideResult[];
  readonly skipped: readonly { readonly name: string; readonly title: string; readonly reason: string }[];
  readonly verdicts: readonly VerdictResult[];
}

export interface SideResult {
  readonly name: string;
  readonly title: string;
  readonly figures: Readonly<Record<string, Spread>>;
}

export interface VerdictResult extends Verdict {
  /** Of the figure, or of its quotients pair by pair; undefined when a side was skipped. */
  readonly measured?: Spread;
  /** Whether the median is within reach; undefined where nothing is claimed. */
  readonly met?: boolean;
}

export function resultOf({ comparison, scale, measured, skipped }: Rounds, occasion: Occasion): ComparisonResult {
  const titles = new Map(comparison.sides.map(({ name, title }) => [name, title]));
  return {
    name: comparison.name,
    title: comparison.title,
    pairs: Math.max(0, ...[...measured.values()].map(({ length }) => length)),
    scale,
    occasion,
    sides: [...measured].map(([name, all]) => ({ name, title: titles.get(name) ?? name, figures: spreadsOf(all) })),
    skipped: skipped.map(({ side: { name, title }, reason }) => ({ name, title, reason })),
    verdicts: comparison.verdicts.map((verdict) => verdictResult(verdict, measured)),
  };
}

/**
 * What is published after a run that measured only some comparisons: the others stay as they were, if they come from the
 * same machine and the same kind of run. `order` has the names of all.
 */
export function mergeResults(before: Results | undefined, now: Results, order: readonly string[]): Results {
  if (before === undefined || before.quick !== now.quick || !isDeepStrictEqual(before.machine, now.machine)) return now;
  const found = new Map([...before.comparisons, ...now.comparisons].map((comparison) => [comparison.name, comparison]));
  return { ...now, comparisons: order.flatMap((name) => found.get(name) ?? []) };
}

function spreadsOf(all: readonly Figures[]): Record<string, Spread> {
  const names = Object.keys(all[0] ?? {});
  return Object.fromEntries(names.map((name) => [name, spreadOf(valuesOf(all, name))]));
}

function verdictResult(verdict: Verdict, measured: ReadonlyMap<string, readonly Figures[]>): VerdictResult {
  const { figure, of, over, reach } = verdict;
  const own = measured.get(of);
  const other = over === undefined ? undefined : measured.get(over);
  if (own === undefined || (over !== undefined && other === undefined)) return verdict;
  const values = valuesOf(own, figure);
  const spread = spreadOf(other === undefined ? values : ratiosOf(values, valuesOf(other, figure)));
  if (reach === undefined) return { ...verdict, measured: spread };
  return { ...verdict, measured: spread, met: reach.bound === 'at least' ? spread.median >= reach.value : spread.median <= reach.value };
}

function valuesOf(all: readonly Figures[], name: string): number[] {
  return all.map((figures) => {
    const value = figures[name];
    if (value === undefined) throw new Error(`a measurement has no figure "${name}", only ${Object.keys(figures).join(', ')}`);
    return value;
  });
}
