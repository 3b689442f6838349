import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { tokenDigest } from './resolve.ts';
import { changeTokens, parseTokens, readTokens, type TokenEntry } from './tokens-file.ts';

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'syncline-tokens-'));
  path = join(folder, 'tokens.jsonl');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const entry = (id: string, more: Partial<TokenEntry> = {}): TokenEntry => ({
  ...{ id, producer: 'shop', sha256: tokenDigest(id).slice('sha256:'.length), created: '2026-01-02T03:04:05.000Z' },
  ...more,
});

test('what is written is read again, by its owner alone', () => {
  expect(readTokens(path)).toEqual([]);
  const entries = [entry('shop-1'), entry('shop-2', { expires: '2027-01-01T00:00:00.000Z', note: 'of "the" till' })];
  changeTokens(path, () => entries);
  expect(readTokens(path)).toEqual(entries);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  changeTokens(path, (before) => before.filter(({ id }) => id !== 'shop-1'));
  expect(readTokens(path)).toEqual([entries[1]]);
  expect(existsSync(`${path}.new`)).toBe(false);
});

test('a change that fails leaves the file as it was', () => {
  changeTokens(path, () => [entry('shop-1')]);
  const before = readFileSync(path, 'utf8');
  const failing = () =>
    changeTokens(path, () => {
      throw new Error('no');
    });
  expect(failing).toThrow('no');
  expect(readFileSync(path, 'utf8')).toBe(before);
  expect(existsSync(`${path}.new`)).toBe(false);
});

test('two at a time do not undo each other', () => {
  const inner = () => changeTokens(path, (before) => [...before, entry('shop-2')]);
  changeTokens(path, (before) => {
    expect(inner).toThrow('another process is changing it');
    return [...before, entry('shop-1')];
  });
  inner();
  expect(readTokens(path).map(({ id }) => id)).toEqual(['shop-1', 'shop-2']);
});

test.each<[string, string]>([
  ['{"id":', 'line 2: is not JSON'],
  ['{}', 'line 2: id: '],
  ['[]', 'line 2: '],
  [JSON.stringify({ ...entry('b'), sha256: 'shop.secret' }), 'line 2: sha256: '],
  [JSON.stringify({ ...entry('b'), expires: 'tomorrow' }), 'line 2: expires: '],
  [JSON.stringify({ ...entry('b'), producer: '../shop' }), 'line 2: producer: '],
  [JSON.stringify({ ...entry('b'), expirs: '2027-01-01T00:00:00.000Z' }), 'line 2: '],
  [JSON.stringify(entry('a')), 'line 2: id a stands there twice'],
  [JSON.stringify(entry('b', { sha256: entry('a').sha256 })), 'line 2: the digest of b stands there twice'],
])('one line that is wrong makes the whole file wrong: %s', (line, message) => {
  const text = `${JSON.stringify(entry('a'))}\n${line}\n`;
  expect(() => parseTokens(text, path)).toThrow(message);
  writeFileSync(path, text);
  expect(() => changeTokens(path, () => [])).toThrow(message);
  expect(readFileSync(path, 'utf8')).toBe(text);
});
