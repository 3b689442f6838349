import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Ledger } from './ledger.ts';
import { readPublished, writePublished } from './published.ts';
import { entry } from './sample-entry.ts';

const [first, second] = [
  entry({ from: 1, count: 10, figures: { changes: 3 } }),
  entry({ from: 11, count: 10, violations: [{ what: 'x', rerun: 'y' }] }),
];
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'syncline-ledger-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('the ledger', () => {
  test('holds what was appended, and nothing before', () => {
    const ledger = new Ledger(join(folder, 'deep/ledger.ndjson'));
    expect(ledger.read()).toEqual([]);
    ledger.append(first);
    ledger.append(second);
    expect(new Ledger(join(folder, 'deep/ledger.ndjson')).read()).toEqual([first, second]);
  });

  test('goes on behind a line that was torn by a kill, at whatever byte', () => {
    const file = join(folder, 'ledger.ndjson');
    const line = JSON.stringify(second);
    for (let bytes = 0; bytes <= line.length; bytes++) {
      writeFileSync(file, '');
      const ledger = new Ledger(file);
      ledger.append(first);
      appendFileSync(file, line.slice(0, bytes));
      const whole = bytes === line.length ? [second] : [];
      expect(ledger.read()).toEqual([first, ...whole]);
      ledger.append(second);
      expect(ledger.read()).toEqual([first, ...whole, second]);
    }
  });
});

describe('the published counts', () => {
  test('come back as they were written, by part', () => {
    const file = join(folder, 'reliability.json');
    const entries = [first, second, entry({ part: 'cuts' })];
    writePublished(file, entries);
    expect(readPublished(file)).toEqual(entries);
    expect(Object.keys(JSON.parse(readFileSync(file, 'utf8')))).toEqual(['kills', 'cuts']);
  });

  test('are not guessed at when the file is damaged', () => {
    const file = join(folder, 'reliability.json');
    writeFileSync(file, '{"kills": [{"from": 1}]}');
    expect(() => readPublished(file)).toThrow();
  });
});
