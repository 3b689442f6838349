import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeHint, encodeHint, type Hint } from './hints.ts';

const ME = 'a'.repeat(32);
const OTHER = 'b'.repeat(32);

const hints: readonly Hint[] = [
  { type: 'applied', partition: 3, streams: ['1'.repeat(32), '2'.repeat(32)] },
  { type: 'wake', partition: 0 },
  { type: 'heal', partition: 15 },
  { type: 'taken', partition: 7 },
  { type: 'released', partitions: [0, 1, 15] },
  { type: 'members' },
];

describe('a hint', () => {
  test.each(hints)('$type arrives as it was sent, and not at whoever sent it', (hint) => {
    expect(decodeHint(encodeHint(OTHER, hint), ME, 16)).toEqual(hint);
    expect(decodeHint(encodeHint(ME, hint), ME, 16)).toBeUndefined();
  });

  test('about a partition that does not exist, or of an unknown kind, says nothing', () => {
    for (const text of ['wake 16', 'wake', 'wake -1', 'wake x', 'wake 1e1', 'released 1 16', 'released 1 x', 'applied', 'later 1', ''])
      expect(decodeHint(`${OTHER} ${text}`, ME, 16), text).toBeUndefined();
  });

  test('can be any text without harm', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (from, text) => {
        const hint = decodeHint(`${from} ${text}`, ME, 16);
        if (hint !== undefined && 'partition' in hint) expect(hint.partition).toBeLessThan(16);
      }),
    );
  });
});
