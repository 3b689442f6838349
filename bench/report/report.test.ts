import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import type { Comparison, Figures, Side } from '../comparison.ts';
import { runRounds } from '../rounds.ts';
import { spreadOf } from '../statistics.ts';
import { barChart } from './bar-chart.ts';
import { performancePage } from './page.ts';
import { publish } from './publish.ts';
import { mergeResults, resultOf, type Results } from './results.ts';
import { comparisonText, coresText } from './text.ts';

/** A side that gives figures that are known. */
function side(name: string, rates: readonly number[], log: string[] = []): Side {
  let next = 0;
  return {
    name,
    title: `${name} <with> "marks"`,
    missing: async () => undefined,
    measure: async (): Promise<Figures> => {
      log.push(name);
      return { 'rows/s': rates[next++] as number };
    },
  };
}

function comparison(sides: readonly Side[]): Comparison {
  return {
    name: 'sample',
    title: 'A sample',
    sides,
    verdicts: [{ figure: 'rows/s', of: 'syncline', over: 'other', reach: { bound: 'at least', value: 0.9 } }],
    pairs: { quick: 1, full: 3 },
    quickScale: 0.1,
  };
}

const OCCASION = { command: 'npm run bench', date: '2026-01-02T03:04:05.000Z', commit: 'abc', load: 0 };

const measured = (sides: readonly Side[], pairs = 3) => runRounds(comparison(sides), { pairs, scale: 1, note: () => {} });

describe('rounds', () => {
  test('measure the sides in turn, another one first each time', async () => {
    const log: string[] = [];
    await measured([side('syncline', [1, 1, 1], log), side('other', [1, 1, 1], log)]);
    expect(log).toEqual(['syncline', 'other', 'other', 'syncline', 'syncline', 'other']);
  });

  test('give the median of the quotients pair by pair, not the quotient of the medians', async () => {
    const rounds = await measured([side('syncline', [100, 50, 30]), side('other', [100, 100, 20])]);
    const [verdict] = resultOf(rounds, OCCASION).verdicts;
    expect(verdict).toMatchObject({ measured: { median: 1, min: 0.5, max: 1.5 }, met: true });
  });

  test('name what cannot run, and judge nothing that needs it', async () => {
    const absent = { ...side('other', []), missing: async () => 'apt-get install other' };
    const third = side('third', [1, 1, 1]);
    const result = resultOf(await measured([side('syncline', [1, 2, 3]), absent, third]), OCCASION);
    expect(result.skipped).toEqual([{ name: 'other', title: absent.title, reason: 'apt-get install other' }]);
    expect(result.verdicts[0]).not.toHaveProperty('met');
    expect(comparisonText(result)).toContain('other was skipped: apt-get install other');
  });

  test('measure nothing that there is nothing to set against', async () => {
    const log: string[] = [];
    const absent = { ...side('other', []), missing: async () => 'apt-get install other' };
    const result = resultOf(await measured([side('syncline', [1, 2, 3], log), absent]), OCCASION);
    expect([log, result.sides]).toEqual([[], []]);
  });

  test('end where a measurement fails, and say which', async () => {
    const broken = { ...side('other', []), measure: () => Promise.reject(new Error('3 rows are missing')) };
    await expect(measured([side('syncline', [1]), broken], 1)).rejects.toThrow('sample, other: 3 rows are missing');
  });
});

describe('reports', () => {
  const folder = mkdtempSync(join(tmpdir(), 'syncline-bench-report-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const resultsOf = async (rates: readonly number[]): Promise<Results> => ({
    quick: false,
    machine: { cores: 2, cpu: 'CPU', memoryGiB: 8, os: 'OS', node: '24', redis: '7', mariadb: '10', sqlite: '3' },
    comparisons: [resultOf(await measured([side('syncline', rates), side('other', [100, 100, 100])]), OCCASION)],
  });

  test('text and page say whether the reach was met', async () => {
    const [met, missed] = [await resultsOf([95, 96, 97]), await resultsOf([50, 50, 50])];
    expect(comparisonText(met.comparisons[0]!)).toContain('syncline ÷ other, rows/s: 0.96 (0.95 … 0.97), reach at least 0.9: met');
    expect(comparisonText(missed.comparisons[0]!)).toContain('NOT met');
    expect(performancePage('before {{figures}} after', missed)).toMatch(/^before [\s\S]*\| \*\*not met\*\* \|[\s\S]* after$/);
  });

  test('cores stand beside the rates, with the processor time for each unit', () => {
    const figures = { 'rows/s': spreadOf([100_000, 200_000]), 'server cores': spreadOf([0.5, 1]), 'redis cores': spreadOf([0.1, 0.4]) };
    expect(coresText(figures)).toBe('server 0.75 (5 µs), redis 0.25 (1.5 µs)');
    expect(coresText({ 'p50 ms': spreadOf([1]), 'server cores': spreadOf([0.5]) })).toBe('server 0.50');
    expect(coresText({ 'rows/s': spreadOf([1]) })).toBe('');
  });

  test('a page of a quick run says so, and a template without a place is refused', async () => {
    const results = await resultsOf([1, 2, 3]);
    expect(performancePage('{{figures}}', { ...results, quick: true })).toContain('A quick run');
    expect(performancePage('{{figures}}', results)).not.toContain('A quick run');
    expect(() => performancePage('nothing', results)).toThrow('no {{figures}}');
  });

  test('what is published replaces what was there', async () => {
    const results = await resultsOf([1, 2, 3]);
    publish(results, folder, ['sample']);
    publish(results, folder, ['sample']);
    expect(readdirSync(folder).sort()).toEqual(['performance', 'performance.json', 'performance.md']);
    expect(readdirSync(join(folder, 'performance'))).toEqual(['sample.svg']);
    expect(JSON.parse(readFileSync(join(folder, 'performance.json'), 'utf8'))).toEqual(results);
    expect(readFileSync(join(folder, 'performance.md'), 'utf8')).toContain('![A sample](performance/sample.svg)');
  });

  test('what was not measured again stays where it was, unless the machine or the kind of run is another', async () => {
    const now = await resultsOf([1, 2, 3]);
    const [sample] = now.comparisons as [Results['comparisons'][number]];
    const before = { ...now, comparisons: ['first', 'sample', 'gone'].map((name) => ({ ...sample, name, pairs: 99 })) };
    const merged = mergeResults(before, now, ['first', 'new', 'sample']);
    expect(merged.comparisons.map(({ name, pairs }) => [name, pairs])).toEqual([
      ['first', 99],
      ['sample', 3],
    ]);
    expect(mergeResults({ ...before, machine: { ...now.machine, cores: 64 } }, now, ['first', 'sample'])).toBe(now);
    expect(mergeResults({ ...before, quick: true }, now, ['first', 'sample'])).toBe(now);
    expect(mergeResults(undefined, now, ['sample'])).toBe(now);
  });

  test('bars are as long as their values, and labels are escaped', () => {
    const bar = { min: 50, max: 100, ours: false };
    const chart = barChart({
      title: 'a < b & "c"',
      groups: [
        {
          unit: 'rows/s',
          bars: [
            { ...bar, label: 'one', value: 100 },
            { ...bar, label: 'half', value: 50 },
          ],
        },
      ],
    });
    const widths = [...chart.matchAll(/<rect .*?width="([\d.]+)"/g)].map(([, width]) => Number(width));
    expect(widths[0]).toBeCloseTo((widths[1] as number) * 2);
    expect(chart).toContain('a &lt; b &amp; &quot;c&quot;');
  });
});
