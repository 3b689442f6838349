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

export interface BarChart {
  readonly title: string;
  readonly unit: string;
  readonly bars: readonly Bar[];
}

const WIDTH = 720;
const LABEL_WIDTH = 200;
const VALUE_WIDTH = 150;
const ROW_HEIGHT = 30;
const BAR_HEIGHT = 16;
const HEAD_HEIGHT = 48;

/** A horizontal bar chart as SVG. Its colours have enough contrast on a light and on a dark page, so it needs no background. */
export function barChart({ title, unit, bars }: BarChart): string {
  const largest = Math.max(...bars.map(({ max }) => max), Number.MIN_VALUE);
  const height = HEAD_HEIGHT + bars.length * ROW_HEIGHT + 8;
  const scale = (WIDTH - LABEL_WIDTH - VALUE_WIDTH) / largest;
  const described = bars.map(({ label, value }) => `${label}: ${figureText(value)} ${unit}`).join('; ');
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="${escape(`${title}. ${described}`)}">
<style>text { font: 13px system-ui, sans-serif; fill: ${TEXT} } .title { font-weight: 600; font-size: 14px }</style>
<text class="title" x="8" y="20">${escape(title)}</text>
<text x="8" y="38">${escape(unit)}; the median, and a line from the least to the most</text>
${bars.map((bar, i) => barRow(bar, HEAD_HEIGHT + i * ROW_HEIGHT, scale)).join('\n')}
</svg>
`;
}

const TEXT = '#768390';
const OURS = '#2f81f7';
const OTHERS = '#8b949e';
const WHISKER = '#d29922';

function barRow({ label, value, min, max, ours }: Bar, top: number, scale: number): string {
  const x = (of: number) => (LABEL_WIDTH + of * scale).toFixed(1);
  const barTop = top + (ROW_HEIGHT - BAR_HEIGHT) / 2;
  const middle = top + ROW_HEIGHT / 2;
  return [
    `<text x="${LABEL_WIDTH - 8}" y="${middle + 4}" text-anchor="end"${ours ? ' font-weight="600"' : ''}>${escape(label)}</text>`,
    `<rect x="${LABEL_WIDTH}" y="${barTop}" width="${Math.max(1, value * scale).toFixed(1)}" height="${BAR_HEIGHT}" rx="2" fill="${ours ? OURS : OTHERS}"/>`,
    `<path d="M${x(min)} ${middle}H${x(max)}M${x(min)} ${middle - 4}v8M${x(max)} ${middle - 4}v8" stroke="${WHISKER}" stroke-width="1.5" fill="none"/>`,
    `<text x="${(LABEL_WIDTH + Math.max(value, max) * scale + 8).toFixed(1)}" y="${middle + 4}">${figureText(value)}</text>`,
  ].join('\n');
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
