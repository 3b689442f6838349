import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { chartOf } from './chart-of.ts';
import { performancePage } from './page.ts';
import type { Results } from './results.ts';

const TEMPLATE = new URL('performance-template.md', import.meta.url);

/** Writes `performance.json`, `performance.md` and `performance/*.svg` into the folder of the documentation. */
export function publish(results: Results, docs: string): void {
  const charts = join(docs, 'performance');
  rmSync(charts, { recursive: true, force: true });
  mkdirSync(charts, { recursive: true });
  for (const comparison of results.comparisons) {
    const chart = chartOf(comparison);
    if (chart !== undefined) writeFileSync(join(charts, `${comparison.name}.svg`), chart);
  }
  writeFileSync(join(docs, 'performance.json'), resultsJson(results));
  writeFileSync(join(docs, 'performance.md'), performancePage(readFileSync(TEMPLATE, 'utf8'), results));
}

export function resultsJson(results: Results): string {
  return `${JSON.stringify(results, undefined, 2)}\n`;
}
