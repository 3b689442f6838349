import { textTable } from '../../src/cli/text.ts';
import type { ComparisonResult, SideResult, VerdictResult } from './results.ts';
import { median, ratiosOf, type Spread } from '../statistics.ts';

/** A comparison for a terminal: a line for every figure of every side, and one for every verdict. */
export function comparisonText(result: ComparisonResult): string {
  const rows = result.sides.flatMap(({ name, figures }) =>
    mainFigures(figures).map(([figure, spread], i) => [
      name,
      figure,
      figureText(spread.median),
      rangeText(spread),
      i === 0 ? coresText(figures) : '',
    ]),
  );
  const lines = [`${result.name}: ${result.title}`, textTable(['side', 'figure', 'median', 'min … max', 'cores busy (µs each)'], rows)];
  for (const verdict of result.verdicts) lines.push(`  ${verdictText(verdict)}`);
  for (const { name, reason } of result.skipped) lines.push(`  ${name} was skipped: ${reason}`);
  return lines.join('\n');
}

/** `syncline ÷ mariadb-client, rows/s: 0.97 (0.95 … 1.02), reach at least 0.95: met` */
function verdictText(verdict: VerdictResult): string {
  const { measured, reach, met } = verdict;
  const found = measured === undefined ? 'not measured' : `${figureText(measured.median)} (${rangeText(measured)})`;
  if (reach === undefined) return `${verdictTitle(verdict)}: ${found}`;
  const end = met === undefined ? '' : met ? ': met' : ': NOT met';
  return `${verdictTitle(verdict)}: ${found}, reach ${reach.bound} ${figureText(reach.value)}${end}`;
}

/** `syncline ÷ mariadb-client, rows/s` */
export function verdictTitle({ of, over, figure }: VerdictResult): string {
  return over === undefined ? `${of}, ${figure}` : `${of} ÷ ${over}, ${figure}`;
}

/** What a side was measured for: all figures but the cores. */
export function mainFigures(figures: SideResult['figures']): [figure: string, spread: Spread][] {
  return Object.entries(figures).filter(([figure]) => !figure.endsWith(CORES));
}

/**
 * `server 0.85 (6.1 µs), redis 0.12 (0.9 µs)`: how many cores each process kept busy, and its processor time for each unit of the
 * first figure where that is a rate. The latter hardly depends on what else a machine does.
 */
export function coresText(figures: SideResult['figures']): string {
  const [first] = mainFigures(figures);
  const rate = first?.[0].endsWith('/s') === true ? first[1] : undefined;
  return Object.entries(figures)
    .filter(([figure]) => figure.endsWith(CORES))
    .map(([figure, cores]) => {
      const busy = `${figure.slice(0, -CORES.length)} ${cores.median.toFixed(2)}`;
      if (rate === undefined) return busy;
      return `${busy} (${figureText(median(ratiosOf(cores.values, rate.values)) * 1e6)} µs)`;
    })
    .join(', ');
}

const CORES = ' cores';

export function rangeText({ min, max }: Spread): string {
  return `${figureText(min)} … ${figureText(max)}`;
}

/** Three digits that matter, and all of a whole part. */
export function figureText(value: number): string {
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString('en-US');
  return String(Number(value.toPrecision(3)));
}
