import { closeSync, fchownSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { z } from 'zod';
import { messageOf, SyncError } from '../core/errors.ts';

/**
 * A token as the token file keeps it: one line of JSON for each. The token itself is `ID.SECRET`, and stands nowhere.
 */
export type TokenEntry = z.output<typeof entrySchema>;

const entrySchema = z.strictObject({
  id: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/),
  producer: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/),
  /** Of the whole token, in hex. */
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  created: z.iso.datetime(),
  /** From then on it is not accepted any more. */
  expires: z.iso.datetime().optional(),
  note: z.string().max(200).optional(),
});

/** Larger than any that is used in earnest; bounds what a wrong path can cost. */
const MAX_BYTES = 8 * 1024 * 1024;

/**
 * What the file holds; nothing when it does not exist yet.
 * @throws {SyncError} `bad_config` when it cannot be read or something in it is wrong; then none of it is to be used.
 */
export function readTokens(path: string): TokenEntry[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw new SyncError('bad_config', `the token file ${path} cannot be read: ${messageOf(error)}`, { cause: error });
  }
  return parseTokens(text, path);
}

/** @throws {SyncError} `bad_config`, naming the line. */
export function parseTokens(text: string, path: string): TokenEntry[] {
  const entries: TokenEntry[] = [];
  const known = new Set<string>();
  const wrong = (line: number, what: string) => new SyncError('bad_config', `the token file ${path} line ${line}: ${what}`);
  if (text.length > MAX_BYTES) throw wrong(1, `the file has more than ${MAX_BYTES} characters`);
  text.split('\n').forEach((line, i) => {
    if (line.trim() === '') return;
    let written: unknown;
    try {
      written = JSON.parse(line);
    } catch {
      // Not the parser's message, which shows what is there.
      throw wrong(i + 1, 'is not JSON');
    }
    const parsed = entrySchema.safeParse(written);
    if (!parsed.success) throw wrong(i + 1, `${parsed.error.issues[0]?.path.join('.') ?? ''}: is missing, unknown or of another form`);
    const { id, sha256 } = parsed.data;
    if (known.has(id) || known.has(sha256)) throw wrong(i + 1, `${known.has(id) ? `id ${id}` : `the digest of ${id}`} stands there twice`);
    known.add(id).add(sha256);
    entries.push(parsed.data);
  });
  return entries;
}

/**
 * Replaces what the file holds by what `change` makes of it, at once and durably: whoever reads it sees the one or the
 * other. Only its owner may read it.
 * @throws {SyncError} `bad_config` when it cannot be read or written, or another process is changing it; and what `change`
 * throws. The file is then as it was.
 */
export function changeTokens(path: string, change: (entries: readonly TokenEntry[]) => readonly TokenEntry[]): void {
  const draft = `${path}.new`;
  let file: number;
  try {
    // Fails when it is there: two who change it at a time would undo each other's work.
    file = openSync(draft, 'wx', 0o600);
  } catch (error) {
    const isThere = (error as NodeJS.ErrnoException).code === 'EEXIST';
    const reason = isThere ? `another process is changing it; if none is, remove ${draft}` : messageOf(error);
    throw new SyncError('bad_config', `the token file ${path} cannot be written: ${reason}`, { cause: error });
  }
  try {
    try {
      const lines = change(readTokens(path)).map((entry) => `${JSON.stringify(entry)}\n`);
      writeFileSync(file, lines.join(''));
      keepOwner(file, path);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(draft, path);
    syncFolder(dirname(path));
  } catch (error) {
    rmSync(draft, { force: true });
    if (!(error instanceof Error && 'syscall' in error)) throw error;
    throw new SyncError('bad_config', `the token file ${path} cannot be written: ${messageOf(error)}`, { cause: error });
  }
}

/** The server, which may be another user than whoever runs this command, goes on being able to read it. */
function keepOwner(file: number, path: string): void {
  const before = statSync(path, { throwIfNoEntry: false });
  if (before !== undefined && before.uid !== process.getuid?.()) fchownSync(file, before.uid, before.gid);
}

/** A name that was changed survives a power cut only then. */
function syncFolder(folder: string): void {
  const handle = openSync(folder, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
