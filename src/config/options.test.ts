import { describe, expect, test } from 'vitest';
import { optionEntries, placeName } from './catalogue.ts';
import { formatBytes, parseBytes } from './option.ts';

test('every option says what it does', () => {
  for (const entry of optionEntries()) expect(entry.description, placeName(entry.path)).toMatch(/^.{10,}[.]$/);
});

test('every variable sets one option, and every option that is not in a list of many has one', () => {
  const variables = optionEntries().flatMap(({ env }) => (env === undefined ? [] : [env]));
  expect(new Set(variables).size).toBe(variables.length);
  for (const variable of variables) expect(variable).toMatch(/^SYNCLINE_[A-Z_]+$/);
  const without = optionEntries().filter(
    ({ env, kind, path }) =>
      env === undefined && kind !== 'section' && kind !== 'names' && kind !== 'list' && path[0] !== 'tables' && path[0] !== 'producers',
  );
  expect(without.map(({ path }) => placeName(path))).toEqual(['sinks[].name']);
});

test('what may hold a secret is marked', () => {
  expect(
    optionEntries()
      .filter(({ secret }) => secret)
      .map(({ path }) => placeName(path)),
  ).toEqual(['token', 'producers[].tokens', 'queue.url', 'queue.sentinel.password', 'sinks[].url', 'listen.admin.token']);
});

describe('sizes', () => {
  test.each([
    ['4096', 4096],
    ['8 MiB', 8 * 1024 * 1024],
    ['512kB', 512_000],
    ['1.5 GiB', 1.5 * 1024 ** 3],
    ['2m', 2 * 1024 * 1024],
    ['8 parsecs', '8 parsecs'],
    ['-1', '-1'],
    ['', ''],
  ])('%o is %o', (written, size) => {
    expect(parseBytes(written)).toBe(size);
  });

  test('are shown in the form that they are written in', () => {
    for (const count of [1, 1000, 65_536, 8 * 1024 ** 2, 3 * 1024 ** 3]) expect(parseBytes(formatBytes(count))).toBe(count);
  });
});
