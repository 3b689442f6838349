import { textTable } from '../../src/cli/text.ts';
import { append } from './append.ts';
import { authentication } from './authentication.ts';
import { batches } from './batches.ts';
import { coalescing } from './coalescing.ts';
import { frames } from './frames.ts';
import { measureMicro } from './measure.ts';
import type { Micro } from './micro.ts';
import { scan } from './scan.ts';
import { sql } from './sql.ts';

/** In the order in which a change meets them. */
export const micros: readonly Micro[] = [authentication, batches, frames, scan, append, coalescing, sql];

/** Runs one micro-bench, or all. */
export async function runMicros(name: string | undefined, print: (line: string) => void): Promise<number> {
  for (const micro of micros) {
    if (name !== undefined && micro.name !== name) continue;
    const rows: string[][] = [];
    for (const one of micro.cases()) {
      const us = await measureMicro(one);
      rows.push([one.name, us.toFixed(3), `µs per ${one.unit}`]);
    }
    print(`${micro.name}: ${micro.title}\n${textTable(['case', 'time', 'unit'], rows)}\n`);
  }
  return 0;
}
