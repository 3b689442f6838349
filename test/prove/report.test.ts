import { expect, test } from 'vitest';
import type { LedgerEntry } from './ledger-entry.ts';
import type { ProofPart } from './part.ts';
import { withFigures } from './report.ts';
import { entry } from './sample-entry.ts';

const PAGE = `# Page

<!-- The figures: generated from docs/reliability.json by npm run docs; what is between the marks is written over. -->
old
<!-- End of the figures. -->

more
`;
const KILLS: ProofPart = {
  name: 'kills',
  title: 'it is killed',
  unit: 'kills',
  target: 500,
  inVerify: 20,
  sliceCount: 25,
  rerun: 'npm run drill -- --scenario kills',
  sources: [],
  run: () => Promise.reject(new Error('not here')),
};

function page(entries: readonly LedgerEntry[], part: ProofPart = KILLS): string {
  return withFigures(PAGE, entries, [part]);
}

test('what stands around the figures stays, and writing them again changes nothing', () => {
  const once = page([entry({})]);
  expect(once.startsWith('# Page\n\n<!-- The figures')).toBe(true);
  expect(once.endsWith('<!-- End of the figures. -->\n\nmore\n')).toBe(true);
  expect(once).not.toContain('\nold\n');
  expect(withFigures(once, [entry({})], [KILLS])).toBe(once);
});

test('a page without a place for the figures is not written', () => {
  expect(() => withFigures('# Page\n', [], [KILLS])).toThrow('the page has no lines');
});

test('a part that was not run says so', () => {
  expect(page([])).toContain('| it is killed | 20 | 0 of 500 kills | – | – | `npm run prove -- --part kills` |');
  expect(page([])).toContain('**`kills`**: not run yet');
});

test('less than the full set is shown as what it is, with the rule of three for what was done', () => {
  const text = page([
    entry({ from: 1, count: 412, target: 500, seconds: 600, figures: { 'rows sent': 31_000, 'longest wait in s': 2.5 } }),
  ]);
  expect(text).toContain('| it is killed | 20 | 412 of 500 kills | 0 | 10 min |');
  expect(text).toContain('31,000 rows sent, longest wait in s: 2.5; with none broken in 412, fewer than 0.73 % break, at 95 %');
  expect(text).toContain('(commit `abcdef012345`, 31 January 2026; `npm run drill -- --scenario kills`)');
  expect(text).toContain('\nAll on 2 cores of a processor, Node.js 24.21.0, Debian.\n');
});

test('of a sample, the median and the largest are shown', () => {
  expect(page([entry({ figures: { 'histories until it shows': [2, 900, 4] } })])).toContain(
    'histories until it shows: 4 in the median, 900 at most',
  );
});

test('few give no rate', () => {
  expect(page([entry({ count: 29 })])).not.toContain('at 95 %');
  expect(page([entry({ count: 30 })])).toContain('fewer than 10 % break');
});

test('where machines differ, each part names its own', () => {
  const machine = { cpu: 'another', cores: 64, node: '24.21.0', os: 'Debian' };
  const text = withFigures(PAGE, [entry({}), entry({ part: 'cuts', machine })], [KILLS, { ...KILLS, name: 'cuts' }]);
  expect(text).not.toContain('All on');
  expect(text).toMatch(/\*\*`kills`\*\*.*2 cores of a processor/);
  expect(text).toMatch(/\*\*`cuts`\*\*.*64 cores of another/);
  expect(page([entry({}), entry({ from: 11, machine })])).toMatch(/2 cores of a processor.* and 64 cores of another/);
});

test('all there are leave nothing to a rate', () => {
  const text = page([entry({ target: 10 })], { ...KILLS, isExhaustive: true, inVerify: 'all', target: () => Promise.resolve(10) });
  expect(text).toContain('| it is killed | all | 10 of 10 kills | 0 |');
  expect(text).not.toContain('at 95 %');
});

test('a broken promise is counted, named with its command, and takes the rate away', () => {
  const violations = Array.from({ length: 7 }, (_, i) => ({ what: `row ${i} | is\nlost`, rerun: `npm run again ${i}` }));
  const text = page([entry({ violations })]);
  expect(text).toContain('| 10 of 100 kills | 7 |');
  expect(text).toContain('7 broken in 10');
  expect(text).not.toContain('at 95 %');
  expect(text).toContain('  - broken: `row 0 | is lost` (`npm run again 0`)\n');
  expect(text).not.toContain('row 5');
  expect(text).toContain('  - and 2 more');
});

test('only the state of the source that was worked on last counts; earlier ones are shown beside it', () => {
  const text = page([
    entry({ source: 's1', commit: 'c1', from: 1, count: 100, date: '2026-01-01T00:00:00.000Z' }),
    entry({ source: 's2', commit: 'c2', from: 1, count: 50, date: '2026-01-02T00:00:00.000Z', violations: [{ what: 'x', rerun: 'y' }] }),
    entry({ source: 's3', commit: 'c3', from: 1, count: 40, date: '2026-01-03T00:00:00.000Z' }),
    entry({ source: 's4', commit: 'c4', from: 1, count: 30, date: '2026-01-04T00:00:00.000Z' }),
    entry({ source: 's5', commit: 'c5', from: 1, count: 3, date: '2026-01-05T00:00:00.000Z' }),
    // The same source, whatever else the commit changed.
    entry({ source: 's5', commit: 'c6', from: 4, count: 4, date: '2026-01-06T00:00:00.000Z' }),
  ]);
  expect(text).toContain('| 7 of 100 kills | 0 |');
  expect(text).toContain('commit `c6`');
  expect(text).toContain('Earlier commits: 30 at `c4`, 40 at `c3`, 50 at `c2` (1 broken), 100 before.');
});
