import fc from 'fast-check';
import { type Batch, type ChangeGroup, OPS, Timestamp, type Value } from '../../src/core/change.ts';
import { FORBIDDEN_KEYS } from '../../src/protocol/limits.ts';

/** Generators of what batches can hold, in the form in which it is decoded: integers are bigint only where they must be. */

const exactInt: fc.Arbitrary<number | bigint> = fc
  .bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n })
  .map((n) => (n >= BigInt(Number.MIN_SAFE_INTEGER) && n <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(n) : n));

/** Around every place where the encoding changes its width. */
const edgeInt: fc.Arbitrary<number | bigint> = fc
  .tuple(fc.constantFrom(0, 5, 7, 8, 15, 16, 31, 32, 53, 63), fc.integer({ min: -2, max: 2 }), fc.boolean())
  .map(([bits, offset, negative]) => {
    const n = (negative ? -1n : 1n) * 2n ** BigInt(bits) + BigInt(offset);
    const inRange = n < -(2n ** 63n) ? -(2n ** 63n) : n;
    return inRange >= BigInt(Number.MIN_SAFE_INTEGER) && inRange <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(inRange) : inRange;
  });

/** Finite; −0 is left out because it is sent as the integer 0. */
const float = fc.double({ noNaN: true, noDefaultInfinity: true }).map((n) => (n === 0 ? 0 : n));

const text = fc.string({ unit: 'binary', maxLength: 60 });

export const arbitraryTimestamp: fc.Arbitrary<Timestamp> = fc
  .tuple(
    fc.oneof(
      fc.maxSafeInteger(),
      fc.integer({ min: -5, max: 5 }),
      fc.integer({ min: 0, max: 5 }).map((n) => 2 ** 32 - 2 + n),
      fc.integer({ min: 0, max: 5 }).map((n) => 2 ** 34 - 2 + n),
    ),
    fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 999_999_999 })),
  )
  .map(([seconds, nanoseconds]) => new Timestamp(seconds, nanoseconds));

export const arbitraryScalar: fc.Arbitrary<Value> = fc.oneof(
  fc.constant(null),
  fc.boolean(),
  exactInt,
  edgeInt,
  float,
  text,
  fc.string({ minLength: 200, maxLength: 300 }),
  fc.uint8Array({ maxLength: 40 }),
  arbitraryTimestamp,
);

const key = text.filter((name) => !FORBIDDEN_KEYS.has(name));

export const arbitraryValue: fc.Arbitrary<Value> = fc.letrec<{ value: Value }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, depthSize: 'small' },
    { arbitrary: arbitraryScalar, weight: 4 },
    { arbitrary: fc.array(tie('value'), { maxLength: 20 }), weight: 1 },
    { arbitrary: fc.dictionary(key, tie('value'), { maxKeys: 6, noNullPrototype: false }).map(withoutPrototype), weight: 1 },
  ),
})).value;

const name = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 });

const arbitraryGroup: fc.Arbitrary<ChangeGroup> = fc
  .record({
    table: name,
    op: fc.constantFrom(...OPS),
    columns: fc.uniqueArray(name, { minLength: 2, maxLength: 6 }),
    key: fc.nat(),
  })
  .chain(({ table, op, columns, key: keySeed }) => {
    const keyCount =
      op === 'delete' ? columns.length : op === 'update' ? 1 + (keySeed % (columns.length - 1)) : 1 + (keySeed % columns.length);
    return fc
      .array(fc.tuple(...columns.map(() => arbitraryValue)), { minLength: 1, maxLength: 5 })
      .map((rows) => ({ table, op, keyCount, columns, rows }));
  });

/** Batches whose neighbouring groups differ, as an encoder writes them. */
export const arbitraryBatch: fc.Arbitrary<Batch> = fc
  .record(
    { timeMs: fc.maxSafeInteger().map(Math.abs), origin: arbitraryValue, groups: fc.array(arbitraryGroup, { minLength: 1, maxLength: 4 }) },
    { requiredKeys: ['groups'] },
  )
  .map((batch) => ({ ...batch, groups: batch.groups.filter((group, i) => i === 0 || shape(group) !== shape(batch.groups[i - 1]!)) }));

function shape(group: ChangeGroup): string {
  return JSON.stringify([group.table, group.op, group.keyCount, group.columns]);
}

function withoutPrototype(map: { [key: string]: Value }): Value {
  return Object.assign(Object.create(null) as object, map);
}
