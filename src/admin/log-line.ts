import { escapeControls } from '../core/visible-text.ts';

/**
 * From the JSON that pino makes of one call to the line that is written. Nothing here trusts the values: names of
 * producers and tables, messages of databases and text from clients all end up in lines.
 */

/** Longest line; a longer one keeps its beginning in a field. */
const MAX_LINE = 8 * 1024;

/** Everything that a terminal or a reader of lines could take for more than text, in JSON's own notation. */
export function safeLine(line: string): string {
  const text = escapeControls(line.trimEnd());
  return `${text.length <= MAX_LINE ? blankSecrets(text) : shorten(text)}\n`;
}

/** A line for people: time, level, message, then the fields as `name=value`. */
export function renderLine(line: string, style: 'color' | 'plain'): string {
  const { time, level, msg, err, ...fields } = JSON.parse(safeLine(line)) as PinoLine;
  const paint = (code: number, text: string) => (style === 'color' ? `\u001b[${code}m${text}\u001b[0m` : text);
  const parts = [paint(2, time.slice(11, 23)), paint(LEVEL_COLORS[level] ?? 0, level.toUpperCase().padEnd(5)), escapeControls(msg ?? '')];
  for (const [name, value] of Object.entries(fields)) parts.push(`${paint(2, `${escapeControls(name)}=`)}${renderValue(value)}`);
  const failure = isRecord(err) ? (err['stack'] ?? err['message']) : undefined;
  const tail =
    typeof failure === 'string'
      ? failure
          .split('\n')
          .map((frame) => `\n    ${escapeControls(frame)}`)
          .join('')
      : '';
  return `${parts.join(' ')}${tail}\n`;
}

const LEVEL_COLORS: Readonly<Record<string, number>> = { debug: 2, info: 32, warn: 33, error: 31 };

function renderValue(value: unknown): string {
  return typeof value === 'string' && PLAIN.test(value) ? value : escapeControls(JSON.stringify(value));
}

/** Texts that need no quotes to be read as one value. */
const PLAIN = /^[^\s"=\p{Cc}\p{Cf}\p{Cs}]+$/u;

/**
 * `scheme://user:password@host` and `?password=…`; rather a little too much than too little. A backslash goes with what follows
 * it, so that JSON stays JSON.
 */
function blankSecrets(text: string): string {
  return text
    .replace(/([a-z][a-z0-9+.-]{0,31}:\/\/[^\s:/@"]*):(?:[^\s"\\]|\\.)*@/gi, '$1:***@')
    .replace(/([?&](?:password|passwd|pwd|pass|token|secret)=)(?:[^&\s"\\]|\\.)*/gi, '$1***')
    .replace(/(\bBearer )(?:[^\s"\\]|\\.)+/g, '$1***');
}

/** Cut before it is searched for secrets: the search would take long for a long text that is made for it. */
function shorten(text: string): string {
  const { time, level, msg } = JSON.parse(text) as PinoLine;
  const cut = (long: string, most: number) => blankSecrets(long.slice(0, most)).replace(CUT_SECRET, '$1:***');
  return escapeControls(JSON.stringify({ level, time, truncated: cut(text, MAX_LINE / 2), msg: msg && cut(msg, MAX_LINE / 4) }));
}

/** The beginning of a URL that was cut before its `@`. */
const CUT_SECRET = /([a-z][a-z0-9+.-]{0,31}:\/\/[^\s:/@"]*):[^\s"]*$/i;

/** What our logger always writes; everything else in a line is fields. */
interface PinoLine {
  readonly time: string;
  readonly level: string;
  readonly msg?: string;
  readonly [field: string]: unknown;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
