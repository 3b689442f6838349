import { readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

const DIGITS = 15;

/** What a full file is renamed to: its path, and the number of its last line. */
export function fullFile(path: string, lastSeq: number): string {
  return `${path}.${String(lastSeq).padStart(DIGITS, '0')}`;
}

/** The full files of the audit log at `path`, oldest first. */
export function fullFilesOf(path: string): string[] {
  const prefix = `${basename(path)}.`;
  const folder = dirname(path);
  return readdirSync(folder)
    .filter((name) => name.startsWith(prefix) && name.length === prefix.length + DIGITS && /^\d+$/.test(name.slice(prefix.length)))
    .sort()
    .map((name) => join(folder, name));
}
