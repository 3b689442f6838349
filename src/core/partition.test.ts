import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { partitionOf } from './partition.ts';

/** As `docs/protocol.md` states it. */
function stated(group: string, values: readonly (string | number | boolean | Uint8Array)[]): number {
  const parts = values.map((value) => (value instanceof Uint8Array ? Buffer.from(value) : Buffer.from(String(value))));
  const hashed = parts.flatMap((bytes) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    return [length, bytes];
  });
  return crc32(Buffer.concat([Buffer.from(group), Buffer.from([0]), ...hashed]));
}

test('a row belongs where the protocol says, whatever the lengths and the scripts of its key', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 20 }),
    fc.nat(300).map((length) => 'k'.repeat(length)),
    fc.nat(100).map((length) => 'ü'.repeat(length)),
  );
  const value = fc.oneof(text, fc.integer(), fc.boolean(), fc.uint8Array({ maxLength: 300 }));
  fc.assert(
    fc.property(text, fc.array(value, { maxLength: 5 }), (group, values) => {
      expect(partitionOf(group, values, 2 ** 32)).toBe(stated(group, values));
    }),
    { numRuns: 500 },
  );
});

test('a key as long as what is hashed at once, or a byte more or less, belongs where the protocol says', () => {
  for (let first = 240; first <= 260; first++) {
    for (let second = 0; second <= 8; second++) {
      const [group, values] = ['g'.repeat(first), ['x'.repeat(second), 7, 'y'.repeat(first)]];
      expect(partitionOf(group, values, 2 ** 32), `${first} and ${second}`).toBe(stated(group, values));
      expect(partitionOf('g', ['x'.repeat(first), 'y'.repeat(second)], 2 ** 32)).toBe(stated('g', ['x'.repeat(first), 'y'.repeat(second)]));
    }
  }
});
