import { describe, expect, test } from 'vitest';
import { comparisons } from './comparisons.ts';

const unique = (names: readonly string[]) => new Set(names).size === names.length;

describe('the comparisons', () => {
  test('have names of their own, which can be file names and anchors', () => {
    const names = comparisons.map(({ name }) => name);
    expect(unique(names)).toBe(true);
    expect(names.filter((name) => !/^[a-z0-9-]+$/.test(name))).toEqual([]);
  });

  test.each(comparisons.map((comparison) => [comparison.name, comparison] as const))(
    '%s judges sides that it measures',
    (_, { sides, verdicts }) => {
      const names = sides.map(({ name }) => name);
      expect(unique(names)).toBe(true);
      for (const { of, over } of verdicts) expect(names).toEqual(expect.arrayContaining(over === undefined ? [of] : [of, over]));
    },
  );

  test('say in few words what each side is', () => {
    const titles = comparisons.flatMap(({ sides }) => sides.map(({ title }) => title));
    expect(titles.filter((title) => title.length > 100 || title.includes('|'))).toEqual([]);
  });
});
