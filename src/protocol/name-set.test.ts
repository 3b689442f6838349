import { describe, expect, test } from 'vitest';
import { NameSet } from './name-set.ts';

describe('a name set', () => {
  test('tells new names from those it holds, across many sizes', () => {
    const set = new NameSet(4096);
    for (const count of [1, 31, 32, 33, 1000, 4096, 5]) {
      const names = Array.from({ length: count }, (_, i) => `n${i}`);
      const { bytes, ranges } = joined([...names, ...names]);
      set.begin(bytes);
      const results = ranges.map(([start, length]) => set.add(start, length));
      expect(results.slice(0, count).every((result) => result === 'added')).toBe(true);
      expect(results.slice(count).every((result) => result === 'present')).toBe(true);
      expect(set.names()).toEqual(names);
    }
  });

  test('gives names as they are, also those that begin with a byte order mark', () => {
    const set = new NameSet(4);
    const { bytes, ranges } = joined(['\ufefftable', 'städte']);
    set.begin(bytes);
    for (const [start, length] of ranges) set.add(start, length);
    expect(set.names()).toEqual(['\ufefftable', 'städte']);
  });

  test('is full at its limit', () => {
    const set = new NameSet(2);
    const { bytes, ranges } = joined(['a', 'b', 'c', 'a']);
    set.begin(bytes);
    expect(ranges.map(([start, length]) => set.add(start, length))).toEqual(['added', 'added', 'full', 'present']);
  });

  test('gives up on names that were made to collide, instead of comparing each with all', () => {
    // Their low 10 bits are all 0: in any table of up to 1,024 slots they begin at the same one.
    const names: string[] = [];
    for (let i = 0; names.length < 300; i++) if (spreadHash(`c${i}`) % 1024 === 0) names.push(`c${i}`);
    const { bytes, ranges } = joined(names);
    const set = new NameSet(4096);
    set.begin(bytes);
    const results = new Set(ranges.map(([start, length]) => set.add(start, length)));
    expect(results).toEqual(new Set(['added', 'full']));
  });
});

function joined(names: readonly string[]): { bytes: Buffer; ranges: (readonly [number, number])[] } {
  let at = 0;
  const ranges = names.map((name) => [(at += Buffer.byteLength(name)) - Buffer.byteLength(name), Buffer.byteLength(name)] as const);
  return { bytes: Buffer.from(names.join('')), ranges };
}

/** The hash that the set uses. */
function spreadHash(name: string): number {
  let h = 0x811c9dc5;
  for (const byte of Buffer.from(name)) h = Math.imul(h ^ byte, 0x01000193);
  h ^= h >>> 15;
  h = Math.imul(h, 0x2c1b3c6d);
  return (h ^ (h >>> 13)) >>> 0;
}
