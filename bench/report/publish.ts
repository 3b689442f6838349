import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { chartOf } from './chart-of.ts';
import { performancePage } from './page.ts';
import { mergeResults, type Results } from './results.ts';

const TEMPLATE = new URL('performance-template.md', import.meta.url);

/**
 * Writes `performance.json`, `performance.md` and `performance/*.svg` into the folder of the documentation. Comparisons that were
 * not measured now stay, as {@link mergeResults} says; `order` has the names of all.
 */
export function publish(now: Results, docs: string, order: readonly string[]): void {
  const json = join(docs, 'performance.json');
  const before = existsSync(json) ? (JSON.parse(readFileSync(json, 'utf8')) as Results) : undefined;
  const results = mergeResults(before, now, order);
  const charts = join(docs, 'performance');
  rmSync(charts, { recursive: true, force: true });
  mkdirSync(charts, { recursive: true });
  for (const comparison of results.comparisons) {
    const chart = chartOf(comparison);
    if (chart !== undefined) writeFileSync(join(charts, `${comparison.name}.svg`), chart);
  }
  writeFileSync(json, resultsJson(results));
  writeFileSync(join(docs, 'performance.md'), performancePage(readFileSync(TEMPLATE, 'utf8'), results));
}

export function resultsJson(results: Results): string {
  return `${JSON.stringify(results, undefined, 2)}\n`;
}
