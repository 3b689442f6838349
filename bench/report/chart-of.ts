import { barChart } from './bar-chart.ts';
import type { ComparisonResult } from './results.ts';

/**
 * The chart of a comparison: the figure that its first verdict is about, of every side that has it. Undefined where there is
 * nothing to compare.
 */
export function chartOf({ title, sides, verdicts }: ComparisonResult): string | undefined {
  const [first] = verdicts;
  if (first === undefined) return undefined;
  const bars = sides.flatMap(({ name, figures }) => {
    const spread = figures[name === first.over ? (first.overFigure ?? first.figure) : first.figure];
    if (spread === undefined) return [];
    return [{ label: name, value: spread.median, min: spread.min, max: spread.max, ours: name.startsWith('syncline') }];
  });
  return bars.length < 2 ? undefined : barChart({ title, unit: first.figure, bars });
}
