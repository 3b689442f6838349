import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, type Document } from 'yaml';
import { messageOf, SyncError } from '../core/errors.ts';
import type { Problem } from './problem.ts';

/** What {@link readConfigFile} looks for when no file is named. */
export const CONFIG_FILE = 'syncline.yaml';

export interface ConfigFile {
  readonly path: string;
  /** Options as written; sections and options without a value are left out. */
  readonly content: Readonly<Record<string, unknown>>;
  readonly problems: readonly Problem[];
  /** The line of a place, or of what surrounds it; from 1. */
  lineOf(place: readonly PropertyKey[]): number;
}

/**
 * Reads `named`, or `syncline.yaml` in `folder` if it exists; undefined when there is none.
 * @throws {SyncError} `bad_config` when the file cannot be read or is not YAML.
 */
export function readConfigFile(named: string | undefined, folder: string): ConfigFile | undefined {
  const path = resolve(folder, named ?? CONFIG_FILE);
  if (named === undefined && !existsSync(path)) return undefined;
  return parseConfigFile(path, readText(path));
}

/** The text of a file that the configuration names. @throws {SyncError} `bad_config` */
export function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const reason =
      code === 'ENOENT'
        ? 'does not exist'
        : code === 'EACCES'
          ? 'may not be read by this user'
          : code === 'EISDIR'
            ? 'is a folder'
            : messageOf(error);
    throw new SyncError('bad_config', `file ${path} ${reason}`, { cause: error });
  }
}

export function parseConfigFile(path: string, text: string): ConfigFile {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const [error] = document.errors;
  if (error !== undefined) {
    const { line, col } = lines.linePos(error.pos[0]);
    throw new SyncError(
      'bad_config',
      `${path} line ${line}, column ${col}: not valid YAML: ${lowerFirst(error.message)}${colonHint(text, line)}`,
    );
  }
  const content: unknown = withoutNulls(toPlain(document, path));
  const isSection = typeof content === 'object' && content !== null && !Array.isArray(content);
  return {
    path,
    content: isSection ? (content as Record<string, unknown>) : {},
    problems: isSection || content === undefined ? [] : [{ place: [], message: 'must hold options, as in `token: …`' }],
    lineOf: (place) => lines.linePos(offsetOf(document, place)).line,
  };
}

/** `url: sqlite:` looks right and is not: YAML takes the last colon for that of a section. */
function colonHint(text: string, line: number): string {
  return /:\s+\S+:\s*$/.test(text.split('\n')[line - 1] ?? '') ? '; put a value that ends in a colon in quotes' : '';
}

function toPlain(document: Document.Parsed, path: string): unknown {
  try {
    return document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    // Not the name: a token that begins with * is one, too.
    const reason = messageOf(error).startsWith('Unresolved alias')
      ? 'a value that begins with * means an anchor that is not there; put it in quotes'
      : lowerFirst(messageOf(error));
    throw new SyncError('bad_config', `${path}: ${reason}`, { cause: error });
  }
}

/** `queue:` with nothing below it says nothing, as in a file whose options are still commented out. */
function withoutNulls(value: unknown): unknown {
  if (value === null) return undefined;
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (typeof value !== 'object') return value;
  const kept = Object.entries(value).map(([key, child]) => [key, withoutNulls(child)] as const);
  return Object.fromEntries(kept.filter(([, child]) => child !== undefined));
}

/** Where the key (or the list item) of a place begins, or that of the nearest part around it. */
function offsetOf(document: Document.Parsed, place: readonly PropertyKey[]): number {
  let offset = 0;
  let node: unknown = document.contents;
  for (const part of place) {
    if (isAlias(node)) node = node.resolve(document);
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === part);
      if (pair === undefined) break;
      offset = isScalar(pair.key) ? (pair.key.range?.[0] ?? offset) : offset;
      node = pair.value;
    } else if (isSeq(node) && typeof part === 'number') {
      const item: unknown = node.items[part];
      offset = (item as { range?: readonly number[] | null } | undefined)?.range?.[0] ?? offset;
      node = item;
    } else break;
  }
  return offset;
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
