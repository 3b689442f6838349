import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Item } from '../workload.ts';

/** What a producer is to send, in a file that programs of every language can read: an array of JSON on each line. */
export interface ChangesFile extends AsyncDisposable {
  readonly path: string;
}

export async function writeChanges(changes: readonly Item[]): Promise<ChangesFile> {
  const folder = await mkdtemp(join(tmpdir(), 'syncline-peer-'));
  const path = join(folder, 'changes.jsonl');
  await writeFile(path, changes.map((item) => `${JSON.stringify(item)}\n`).join(''));
  return { path, [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) };
}
