import { count, duration } from '../../src/cli/text.ts';
import { median } from './figures.ts';
import type { LedgerEntry, Machine } from './ledger-entry.ts';
import type { Figure, ProofPart } from './part.ts';
import { tallyOf, type Tally } from './tally.ts';

const BEGIN = '<!-- The figures: generated from docs/reliability.json by npm run docs; what is between the marks is written over. -->';
const END = '<!-- End of the figures. -->';
/** All of a large number would hide the first. */
const MAX_VIOLATIONS = 5;
const MAX_EARLIER = 3;
/** Below, the rule of three does not hold. */
const MIN_FOR_ODDS = 30;

/** What the page says about a part. */
interface Standing extends Tally {
  readonly part: ProofPart;
  /** How many make the full set; undefined when that is found out only by running it. */
  readonly target: number | undefined;
  /** The newest entry, of the state of the source that `Tally` is about; undefined when there is none. */
  readonly newest: LedgerEntry | undefined;
  /** What this state was run on. */
  readonly machines: readonly string[];
  /** Entries of earlier states, newest first. */
  readonly earlier: readonly LedgerEntry[];
}

/**
 * The page with the figures that `published` comes to.
 * @throws {Error} when the page has no place for them.
 */
export function withFigures(page: string, published: readonly LedgerEntry[], parts: readonly ProofPart[]): string {
  const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`the page has no lines "${BEGIN}" and "${END}"`);
  return `${page.slice(0, begin)}${BEGIN}\n\n${figuresSection(published, parts)}\n${page.slice(end)}`;
}

function figuresSection(published: readonly LedgerEntry[], parts: readonly ProofPart[]): string {
  const standings = parts.map((part) => standingOf(part, published));
  const machines = [...new Set(standings.flatMap((standing) => standing.machines))];
  const [only] = machines.length === 1 ? machines : [];
  const head = '| what happens | in `npm run verify` | in `npm run prove` | broken promises | time | run it |\n|---|---|---|---|---|---|';
  const everywhere = only === undefined ? '' : `All on ${only}.\n\n`;
  const details = standings.map((standing) => detailsOf(standing, only === undefined));
  return `${head}\n${standings.map(rowOf).join('\n')}\n\n${everywhere}${details.join('\n')}\n`;
}

/** The state of the source is the one that was worked on last. */
function standingOf(part: ProofPart, published: readonly LedgerEntry[]): Standing {
  const entries = published.filter((entry) => entry.part === part.name).toSorted((a, b) => b.date.localeCompare(a.date));
  const [newest] = entries;
  const current = entries.filter(({ source }) => source === newest?.source);
  return {
    part,
    ...tallyOf(current),
    target: newest?.target ?? (typeof part.target === 'number' ? part.target : undefined),
    newest,
    machines: [...new Set(current.map(({ machine }) => machineText(machine)))],
    earlier: entries.filter(({ source }) => source !== newest?.source),
  };
}

function rowOf({ part, target, done, violations, seconds, newest }: Standing): string {
  const inVerify = part.inVerify === 'all' ? 'all' : part.inVerify === 0 ? '–' : count(part.inVerify);
  const inProve = `${count(done)} of ${target === undefined ? 'all' : count(target)} ${part.unit}`;
  const results = newest === undefined ? ['–', '–'] : [count(violations.length), duration(seconds * 1000)];
  return `| ${[part.title, inVerify, inProve, ...results, `\`npm run prove -- --part ${part.name}\``].join(' | ')} |`;
}

/** A line for people who want to know more; further ones for broken promises. */
function detailsOf(standing: Standing, namesMachine: boolean): string {
  const { part, newest, machines, earlier, figures, violations } = standing;
  const name = `- **\`${part.name}\`**`;
  if (newest === undefined) return `${name}: not run yet; \`${part.rerun}\`.`;
  const where = `commit \`${newest.commit}\`, ${day(newest.date)}${namesMachine ? `, ${machines.join(' and ')}` : ''}`;
  const sums = Object.entries(figures).map(([figure, value]) => figureText(figure, value));
  const before = earlier.length === 0 ? '' : ` Earlier commits: ${earlierText(earlier)}.`;
  const facts = [sums.join(', '), oddsText(standing)].filter((text) => text !== '');
  const details = [
    `${name}: ${facts.length === 0 ? 'done' : facts.join('; ')} (${where}; \`${part.rerun}\`).${before}`,
    ...violations.slice(0, MAX_VIOLATIONS).map(({ what, rerun }) => `  - broken: ${inLine(what)} (\`${rerun}\`)`),
  ];
  if (violations.length > MAX_VIOLATIONS) details.push(`  - and ${violations.length - MAX_VIOLATIONS} more`);
  return details.join('\n');
}

/** The rule of three: what was not seen in n has, at 95 %, a rate below 3/n. */
function oddsText({ part, done, violations }: Standing): string {
  if (violations.length > 0) return `${count(violations.length)} broken in ${count(done)}`;
  if (part.isExhaustive || done < MIN_FOR_ODDS) return '';
  return `with none broken in ${count(done)}, fewer than ${percent(3 / done)} break, at 95 %`;
}

function earlierText(entries: readonly LedgerEntry[]): string {
  const commits = [...Map.groupBy(entries, ({ commit }) => commit)].map(([commit, group]) => ({ commit, ...tallyOf(group) }));
  const shown = commits.slice(0, MAX_EARLIER).map(({ commit, done, violations }) => {
    return `${count(done)} at \`${commit}\`${violations.length === 0 ? '' : ` (${violations.length} broken)`}`;
  });
  const { done, violations } = tallyOf(entries.filter(({ commit }) => !commits.slice(0, MAX_EARLIER).some((one) => one.commit === commit)));
  const rest = done === 0 ? [] : [`${count(done)} before${violations.length === 0 ? '' : ` (${violations.length} broken)`}`];
  return [...shown, ...rest].join(', ');
}

function figureText(name: string, value: Figure): string {
  if (typeof value !== 'number') return `${name}: ${amountText(median(value))} in the median, ${amountText(Math.max(...value))} at most`;
  return name.startsWith('longest ') ? `${name}: ${amountText(value)}` : `${amountText(value)} ${name}`;
}

function amountText(value: number): string {
  return Number.isInteger(value) || value >= 1000 ? count(value) : value.toFixed(1);
}

function machineText({ cpu, cores, node, os }: Machine): string {
  return `${cores} cores of ${cpu}, Node.js ${node}, ${os}`;
}

function percent(share: number): string {
  return `${(share * 100).toPrecision(2)} %`;
}

function day(date: string): string {
  return new Date(date).toLocaleDateString('en-GB', { day: 'numeric', month: 'long', year: 'numeric', timeZone: 'UTC' });
}

/** As text that cannot become markup. */
function inLine(text: string): string {
  return `\`${text.replaceAll(/[`\s]+/g, ' ').slice(0, 300)}\``;
}
