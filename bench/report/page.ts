import { coresText, figureText, mainFigures, rangeText, verdictTitle } from './text.ts';
import type { Spread } from '../statistics.ts';
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
  const verdicts = results.comparisons.flatMap(({ name, verdicts }) => verdicts.map((verdict) => verdictRow(name, verdict)));
  return [
    ...(results.quick ? ['> **A quick run: it shows that everything works, not how fast it is.**', ''] : []),
    ...machineLines(results),
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

function machineLines({ machine, command, date }: Results): string[] {
  return [
    `Measured on ${date.slice(0, 10)} at commit \`${machine.commit}\` with \`${command}\`: ${machine.cores} cores (${machine.cpu}),`,
    `${machine.memoryGiB} GiB of memory, ${machine.os}; Node.js ${machine.node}, Redis ${machine.redis}, MariaDB ${machine.mariadb}, SQLite ${machine.sqlite};`,
    `load of the minute before: ${machine.load.toFixed(2)}.`,
  ];
}

function verdictRow(name: string, verdict: VerdictResult): string {
  const { measured, reach, met } = verdict;
  const found = measured === undefined ? 'not measured | ' : `${figureText(measured.median)} | ${rangeText(measured)}`;
  const sign = reach === undefined ? '' : `${reach.bound === 'at least' ? '≥' : '≤'} ${figureText(reach.value)}`;
  return `| [${name}](#${name}) | ${verdictTitle(verdict)} | ${found} | ${sign} | ${met === undefined ? '' : met ? 'met' : '**not met**'} |`;
}

function comparisonSection(result: ComparisonResult): string[] {
  const { name, title, pairs, scale, sides, skipped } = result;
  const work = scale === 1 ? '' : `, ${figureText(scale * 100)} % of the work`;
  return [
    `### ${name}`,
    '',
    `${title}. ${pairs} measurements of each side${work}.`,
    '',
    ...(chartOf(result) === undefined ? [] : [`![${title}](performance/${name}.svg)`, '']),
    '| side | what it is | figure | median | min … max | cores busy |',
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
