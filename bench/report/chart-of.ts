import { barChart, type BarGroup } from './bar-chart.ts';
import type { ComparisonResult } from './results.ts';

/**
 * The chart of a comparison: each figure that a verdict is about, of every side that has it. Undefined where there is
 * nothing to compare.
 */
export function chartOf({ title, sides, verdicts }: ComparisonResult): string | undefined {
  const groups = [...new Set(verdicts.map(({ figure }) => figure))]
    .map((figure): BarGroup => {
      const bars = sides.flatMap(({ name, figures }) => {
        const spread = figures[figure];
        if (spread === undefined) return [];
        return [{ label: name, value: spread.median, min: spread.min, max: spread.max, ours: name.startsWith('syncline') }];
      });
      return { unit: figure, bars };
    })
    .filter(({ bars }) => bars.length > 1);
  return groups.length === 0 ? undefined : barChart({ title, groups });
}
