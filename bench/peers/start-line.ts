import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { Item } from '../workload.ts';

/** What a Node.js program of a peer is told; see program.ts. */
export function variable(name: string): string {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set`);
  return value;
}

/** The changes that a producer sends. */
export function readChanges(): Item[] {
  return readFileSync(variable('CHANGES'), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Item);
}

/** Says that the program is ready, and waits until the clock runs. */
export async function startLine(): Promise<void> {
  console.log('ready');
  await once(process.stdin, 'data');
  process.stdin.destroy();
}
