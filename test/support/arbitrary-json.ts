import fc from 'fast-check';
import { FORBIDDEN_KEYS } from '../../src/protocol/limits.ts';

/** Texts without lone surrogates, which JSON can write and nothing else can hold. */
const text = fc.string({ unit: 'binary', maxLength: 30 });
const name = fc.oneof(
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }),
  fc.constantFrom('__proto__', 'constructor', 'a"b', '\u0000', ' '),
);
const nestedKey = text.filter((key) => !FORBIDDEN_KEYS.has(key));

/** Beyond 2^53 a whole number is written with digits that a double does not have, and comes back as what they say. */
const number = fc.oneof(
  fc.maxSafeInteger(),
  fc
    .double({ noNaN: true, noDefaultInfinity: true })
    .map((value) => (value === 0 ? 0 : value))
    .filter((value) => !Number.isInteger(value) || Number.isSafeInteger(value)),
);

const value = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, depthSize: 'small' },
    { arbitrary: fc.oneof(fc.constant(null), fc.boolean(), number, text), weight: 4 },
    { arbitrary: fc.array(tie('value'), { maxLength: 5 }), weight: 1 },
    { arbitrary: fc.dictionary(nestedKey, tie('value'), { maxKeys: 4, noNullPrototype: true }), weight: 1 },
  ),
})).value;

/** Rows as JSON can hold them and a batch can carry them: columns of any name, values of any type. */
export function arbitraryJsonRow(): fc.Arbitrary<Record<string, unknown>> {
  return fc.array(fc.tuple(name, value), { maxLength: 6 }).map((entries) => Object.fromEntries(entries));
}
