import { createReadStream, existsSync } from 'node:fs';
import { basename } from 'node:path';
import { fullFilesOf } from './audit-files.ts';
import { follows, GENESIS, type Link, readLine } from './chain.ts';

export interface Verified {
  readonly files: readonly string[];
  /** Number of the first line that is there; above 1 where older files were removed. */
  readonly firstSeq: number;
  readonly last: Link;
  /** Whether a line has the hash that was asked for. */
  readonly includesHash: boolean;
}

/** Where the chain breaks: at this line of this file, from 1. */
export interface Break {
  readonly file: string;
  readonly line: number;
  readonly reason: string;
}

/**
 * Reads the audit log at `path`, with the full files beside it, and holds every line against the one before it.
 * A line that was changed, removed, added or moved breaks the chain. Lines that were cut off at the end do not: that is
 * seen by a hash that was noted elsewhere.
 */
export async function verifyAudit(path: string, hash?: string): Promise<Verified | Break> {
  const files = [...fullFilesOf(path), ...(existsSync(path) ? [path] : [])];
  let firstSeq = 0;
  let last: Link | undefined;
  let includesHash = false;
  for (const file of files) {
    const name = basename(file);
    let number = 0;
    for await (const { text, isWhole } of linesOf(file)) {
      // A line that is just being written, or that a crash left behind: the server cuts it off when it goes on.
      if (!isWhole && file === path) continue;
      number++;
      const line = readLine(text);
      if (line === undefined) return { file: name, line: number, reason: 'this is no line of an audit log, or not all of one' };
      if (number === 1) {
        const before = previousOf(line.event, line.text, line.link.seq);
        if (before === undefined) return { file: name, line: 1, reason: 'a file begins with an event "file", and this one does not' };
        if (last !== undefined && (before.seq !== last.seq || before.hash !== last.hash))
          return { file: name, line: 1, reason: `it does not go on from line ${last.seq}, with which the file before it ends` };
        if (before.seq === 0 && before.hash !== GENESIS.hash) return { file: name, line: 1, reason: 'it is not how an audit log begins' };
        if (last === undefined) firstSeq = line.link.seq;
        last = before;
      }
      if (last === undefined || !follows(line, last))
        return {
          file: name,
          line: number,
          reason: `line ${line.link.seq} does not follow line ${last?.seq}: one was changed, removed or added`,
        };
      last = line.link;
      includesHash ||= last.hash === hash;
    }
    if (number === 0 && files.length > 1) return { file: name, line: 1, reason: 'the file is empty' };
  }
  return { files: files.map((file) => basename(file)), firstSeq, last: last ?? GENESIS, includesHash };
}

/** What the first line of a file says it goes on from. */
function previousOf(event: string, text: string, seq: number): Link | undefined {
  if (event !== 'file') return undefined;
  const { previous } = JSON.parse(text) as { previous?: unknown };
  return typeof previous === 'string' && /^[0-9a-f]{64}$/.test(previous) ? { seq: seq - 1, hash: previous } : undefined;
}

/** Not by `readline`, which takes more than a line feed for an end. A line is whole when a line feed ends it. */
async function* linesOf(path: string): AsyncGenerator<{ readonly text: string; readonly isWhole: boolean }> {
  let rest = '';
  const chunks = createReadStream(path, { encoding: 'utf8' }) as AsyncIterable<string>;
  for await (const chunk of chunks) {
    const lines = `${rest}${chunk}`.split('\n');
    rest = lines.pop() as string;
    for (const text of lines) yield { text, isWhole: true };
  }
  if (rest !== '') yield { text: rest, isWhole: false };
}
