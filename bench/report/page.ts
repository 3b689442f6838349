import { coresText, figureText, mainFigures, rangeText, verdictTitle } from './text.ts';
import type { Spread } from '../statistics.ts';
import type { Occasion } from './machine.ts';
import { chartOf } from './chart-of.ts';
import type { ComparisonResult, Results, SideResult, VerdictResult } from './results.ts';

/** Where the template takes the figures. */
const PLACE = '{{figures}}';

/** `docs/performance.md`: the template with the figures of a run. @throws {Error} when it has no place for them. */
export function performancePage(template: string, results: Results): string {
  if (!template.includes(PLACE)) throw new Error(`the template of the page has no ${PLACE}`);
  return template.replace(PLACE, () => figuresOf(results));
}

function figuresOf(results: Results): string {
  const occasions = [...new Map(results.comparisons.map(({ occasion }) => [JSON.stringify(occasion), occasion])).values()];
  const verdicts = results.comparisons.flatMap(({ name, verdicts }) => verdicts.map((verdict) => verdictRow(name, verdict)));
  return [
    ...(results.quick ? ['> **A quick run: it shows that everything works, not how fast it is.**', ''] : []),
    ...machineLines(results),
    ...occasionLines(occasions),
    '',
    '| comparison | what is divided, or stands alone | median | min … max | reach | |',
    '|---|---|---|---|---|---|',
    ...verdicts,
    '',
    ...results.comparisons.flatMap(comparisonSection),
  ]
    .join('\n')
    .trimEnd();
}

function machineLines({ machine }: Results): string[] {
  const { cores, cpu, memoryGiB, os, node, redis, mariadb, sqlite } = machine;
  return [
    `Machine: ${cores} cores (${cpu}), ${memoryGiB} GiB of memory, ${os}; Node.js ${node}, Redis ${redis}, MariaDB ${mariadb}, SQLite ${sqlite}.`,
  ];
}

function occasionLines(occasions: readonly Occasion[]): string[] {
  return occasions.map(
    ({ command, date, commit, load }) =>
      `Measured on ${date.slice(0, 10)} at commit \`${commit}\` with \`${command}\`; load of the minute before: ${load.toFixed(2)}.`,
  );
}

function verdictRow(name: string, verdict: VerdictResult): string {
  const { measured, reach, met } = verdict;
  const found = measured === undefined ? 'not measured | ' : `${figureText(measured.median)} | ${rangeText(measured)}`;
  const sign = reach === undefined ? '' : `${reach.bound === 'at least' ? '≥' : '≤'} ${figureText(reach.value)}`;
  return `| [${name}](#${name}) | ${verdictTitle(verdict)} | ${found} | ${sign} | ${met === undefined ? '' : met ? 'met' : '**not met**'} |`;
}

function comparisonSection(result: ComparisonResult): string[] {
  const { name, title, pairs, scale, occasion, sides, skipped } = result;
  const work = scale === 1 ? '' : `, ${figureText(scale * 100)} % of the work`;
  return [
    `### ${name}`,
    '',
    `${title}. ${pairs} measurements of each side${work}, on ${occasion.date.slice(0, 10)} at \`${occasion.commit}\`.`,
    '',
    ...(chartOf(result) === undefined ? [] : [`![${title}](performance/${name}.svg)`, '']),
    '| side | what it is | figure | median | min … max | cores busy (µs each) |',
    '|---|---|---|---|---|---|',
    ...sides.flatMap((side) => mainFigures(side.figures).map(([figure, spread], i) => sideRow(side, figure, spread, i))),
    ...skipped.map((side) => `| ${side.name} | ${side.title} | | not measured | ${side.reason} | |`),
    '',
  ];
}

/** What a side is, and its cores, stand in its first row only. */
function sideRow({ name, title, figures }: SideResult, figure: string, spread: Spread, index: number): string {
  const [what, cores] = index === 0 ? [title, coresText(figures)] : ['', ''];
  return `| ${index === 0 ? name : ''} | ${what} | ${figure} | ${figureText(spread.median)} | ${rangeText(spread)} | ${cores} |`;
}
