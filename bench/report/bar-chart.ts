import { figureText } from './text.ts';

export interface Bar {
  readonly label: string;
  readonly value: number;
  /** Drawn as a line through the end of the bar. */
  readonly min: number;
  readonly max: number;
  /** Whether it is what the chart is about. */
  readonly ours: boolean;
}

/** Bars that share a unit and a scale. */
export interface BarGroup {
  readonly unit: string;
  readonly bars: readonly Bar[];
}

export interface BarChart {
  readonly title: string;
  readonly groups: readonly BarGroup[];
}

const WIDTH = 720;
const LABEL_WIDTH = 200;
const VALUE_WIDTH = 130;
const LINE_HEIGHT = 18;
const ROW_HEIGHT = 30;
const BAR_HEIGHT = 16;
/** About as many as fit into the width. */
const TITLE_CHARS = 88;

/** A horizontal bar chart as SVG. Its colours have enough contrast on a light and on a dark page, so it needs no background. */
export function barChart({ title, groups }: BarChart): string {
  const parts: string[] = [];
  let top = 4;
  const line = (text: string, style: string) => {
    top += LINE_HEIGHT;
    parts.push(`<text class="${style}" x="8" y="${top}">${escape(text)}</text>`);
  };
  for (const text of wrapped(title)) line(text, 'title');
  for (const { unit, bars } of groups) {
    line(`${unit}: the median, and a line from the least to the most`, 'unit');
    const scale = (WIDTH - LABEL_WIDTH - VALUE_WIDTH) / Math.max(...bars.map(({ max }) => max), Number.MIN_VALUE);
    top += 6;
    for (const bar of bars) {
      parts.push(...barRow(bar, top, scale));
      top += ROW_HEIGHT;
    }
  }
  const height = top + 8;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="${escape(described(title, groups))}">
<style>text { font: 13px system-ui, sans-serif; fill: ${TEXT} } .title { font-weight: 600; font-size: 14px } .ours { font-weight: 600 }</style>
${parts.join('\n')}
</svg>
`;
}

const TEXT = '#768390';
const OURS = '#2f81f7';
const OTHERS = '#8b949e';
const WHISKER = '#d29922';

function barRow({ label, value, min, max, ours }: Bar, top: number, scale: number): string[] {
  const x = (of: number) => (LABEL_WIDTH + of * scale).toFixed(1);
  const middle = top + ROW_HEIGHT / 2;
  const width = Math.max(1, value * scale).toFixed(1);
  return [
    `<text${ours ? ' class="ours"' : ''} x="${LABEL_WIDTH - 8}" y="${middle + 4}" text-anchor="end">${escape(label)}</text>`,
    `<rect x="${LABEL_WIDTH}" y="${middle - BAR_HEIGHT / 2}" width="${width}" height="${BAR_HEIGHT}" rx="2" fill="${ours ? OURS : OTHERS}"/>`,
    `<path d="M${x(min)} ${middle}H${x(max)}M${x(min)} ${middle - 4}v8M${x(max)} ${middle - 4}v8" stroke="${WHISKER}" stroke-width="1.5" fill="none"/>`,
    `<text x="${(LABEL_WIDTH + max * scale + 8).toFixed(1)}" y="${middle + 4}">${figureText(value)}</text>`,
  ];
}

/** For those who cannot see it. */
function described(title: string, groups: readonly BarGroup[]): string {
  const bars = groups.flatMap(({ unit, bars }) => bars.map(({ label, value }) => `${label}: ${figureText(value)} ${unit}`));
  return `${title}. ${bars.join('; ')}`;
}

function wrapped(text: string): string[] {
  const lines = [''];
  for (const word of text.split(' ')) {
    const last = lines.at(-1) as string;
    if (last !== '' && last.length + word.length >= TITLE_CHARS) lines.push(word);
    else lines[lines.length - 1] = last === '' ? word : `${last} ${word}`;
  }
  return lines;
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
