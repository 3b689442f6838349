import { createHash } from 'node:crypto';
import { escapeControls } from '../core/visible-text.ts';

/** What a line of the audit log may say beside its event. */
export type AuditFields = Readonly<Record<string, string | number | readonly string[] | undefined>>;

/** The place of a line in the chain: its number, and its hash, which depends on every line before it. */
export interface Link {
  readonly seq: number;
  readonly hash: string;
}

/** Before the first line there ever was. */
export const GENESIS: Link = { seq: 0, hash: '0'.repeat(64) };

/** Longest line, with its line feed. */
export const MAX_LINE_BYTES = 16 * 1024;

const MAX_TEXT_BYTES = MAX_LINE_BYTES / 4;
/** Texts of others are cut: names in lines stay names. */
const MAX_TEXT = 256;
const MAX_LIST = 32;

const LINE = /^(\{"seq":(\d{1,15}),"time":"[^"]*","event":"([a-z_]+)".*),"hash":"([0-9a-f]{64})"\}$/;

/**
 * The line that follows `previous`, ending in a line feed, and its link. `hash` is the SHA-256 of the previous hash and of
 * the line without it. Whatever stands in `fields`, it is one line of JSON.
 */
export function sealLine(previous: Link, timeMs: number, event: string, fields: AuditFields): { line: string; link: Link } {
  const seq = previous.seq + 1;
  const head = { seq, time: new Date(timeMs).toISOString(), event };
  let text = escapeControls(JSON.stringify({ ...head, ...shortened(fields) }));
  // What was escaped may be six times as long.
  if (text.length > MAX_TEXT_BYTES) text = JSON.stringify({ ...head, tooLong: text.length });
  const hash = hashOf(previous.hash, text);
  return { line: `${text.slice(0, -1)},"hash":"${hash}"}\n`, link: { seq, hash } };
}

/** A line, without its line feed, as it was read; undefined where it is none of an audit log. */
export interface ReadLine {
  readonly link: Link;
  readonly event: string;
  /** The line as it was hashed. */
  readonly text: string;
}

/** Reads a line; whether its hash is right, {@link follows} tells. */
export function readLine(line: string): ReadLine | undefined {
  const match = LINE.exec(line);
  if (match === null) return undefined;
  const [, text, seq, event, hash] = match as unknown as [string, string, string, string, string];
  return { link: { seq: Number(seq), hash }, event, text: `${text}}` };
}

/** Whether a line is the one that was written after `previous`, and is as it was written. */
export function follows({ link, text }: ReadLine, previous: Link): boolean {
  return link.seq === previous.seq + 1 && link.hash === hashOf(previous.hash, text);
}

function hashOf(previous: string, text: string): string {
  return createHash('sha256').update(previous).update(text).digest('hex');
}

function shortened(fields: AuditFields): AuditFields {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [
      name,
      typeof value === 'string' ? cut(value) : typeof value === 'object' ? value.slice(0, MAX_LIST).map(cut) : value,
    ]),
  );
}

function cut(text: string): string {
  return text.length <= MAX_TEXT ? text : `${text.slice(0, MAX_TEXT)}…`;
}
