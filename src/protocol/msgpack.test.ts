import fc from 'fast-check';
import { Packr } from 'msgpackr';
import { describe, expect, test } from 'vitest';
import { arbitraryValue } from '../../test/support/arbitrary-values.ts';
import { Timestamp, type Value } from '../core/change.ts';
import { toHex } from '../core/hex.ts';
import { decodeValue } from './msgpack-reader.ts';
import { encodeValue, MsgpackWriter } from './msgpack.ts';
import { scanValue } from './scan.ts';

/** The second implementation. It reads every 64-bit form as bigint; with 'auto' it takes 2^53 for exact. */
const msgpackr = new Packr({ useRecords: false, variableMapSize: true, mapsAsObjects: true, int64AsType: 'bigint' });

describe('values', () => {
  test('come back exactly, and pass the scan', () => {
    fc.assert(
      fc.property(arbitraryValue, (value) => {
        const bytes = encodeValue(value);
        expect(scanValue(bytes)).toBeUndefined();
        expect(decodeValue(bytes)).toEqual(value);
      }),
      { numRuns: 3000 },
    );
  });

  test('that we write, msgpackr reads alike', () => {
    fc.assert(
      fc.property(arbitraryValue.filter(datesOnly), (value) => {
        expect(comparable(msgpackr.unpack(encodeValue(value)))).toEqual(comparable(value));
      }),
      { numRuns: 2000 },
    );
  });

  test('that msgpackr writes, we read alike', () => {
    fc.assert(
      fc.property(arbitraryValue.filter(datesOnly), (value) => {
        expect(comparable(decodeValue(msgpackr.pack(withDates(value))))).toEqual(comparable(value));
      }),
      { numRuns: 2000 },
    );
  });

  test.each<[string, Value, string]>([
    ['nil', null, 'c0'],
    ['true', true, 'c3'],
    ['127', 127, '7f'],
    ['128', 128, 'cc80'],
    ['256', 256, 'cd0100'],
    ['65536', 65536, 'ce00010000'],
    ['2^32', 2 ** 32, 'cf0000000100000000'],
    ['2^53 − 1', 2 ** 53 - 1, 'cf001fffffffffffff'],
    ['2^64 − 1', 2n ** 64n - 1n, 'cfffffffffffffffff'],
    ['−1', -1, 'ff'],
    ['−32', -32, 'e0'],
    ['−33', -33, 'd0df'],
    ['−129', -129, 'd1ff7f'],
    ['−32769', -32769, 'd2ffff7fff'],
    ['−2^31 − 1', -(2 ** 31) - 1, 'd3ffffffff7fffffff'],
    ['−2^63', -(2n ** 63n), 'd38000000000000000'],
    ['a bigint that is small', 5n, '05'],
    ['1.5', 1.5, 'cb3ff8000000000000'],
    ['−0, which is 0', -0, '00'],
    ['1e300', 1e300, 'cb7e37e43c8800759c'],
    ['an empty str', '', 'a0'],
    ['a str with umlauts', 'Köln', 'a54bc3b66c6e'],
    ['an emoji', '😀', 'a4f09f9880'],
    ['a bin', Buffer.from([1, 2]), 'c4020102'],
    ['seconds only', new Timestamp(1, 0), 'd6ff00000001'],
    ['seconds and nanoseconds', new Timestamp(1, 1), 'd7ff0000000400000001'],
    ['34 bits of seconds', new Timestamp(2 ** 34 - 1, 999_999_999), 'd7ffee6b27ffffffffff'],
    ['before 1970', new Timestamp(-1, 5), 'c70cff00000005ffffffffffffffff'],
    ['an array', [1, [2]], '92019102'],
    ['a map', { a: 1 }, '81a16101'],
  ])('%s has its shortest form', (_, value, hex) => {
    expect(toHex(encodeValue(value))).toBe(hex);
  });

  test('forms that are longer than needed are read too', () => {
    expect(decodeValue(Buffer.from('d30000000000000005', 'hex'))).toBe(5);
    expect(decodeValue(Buffer.from('ca3fc00000', 'hex'))).toBe(1.5);
    expect(decodeValue(Buffer.from('df00000001db000000016101', 'hex'))).toEqual(Object.assign(Object.create(null), { a: 1 }));
    expect(decodeValue(Buffer.from('dd0000000107', 'hex'))).toEqual([7]);
    expect(Object.is(decodeValue(Buffer.from('cb8000000000000000', 'hex')), -0)).toBe(true);
  });

  test('a Date is sent as a timestamp', () => {
    const out = new MsgpackWriter();
    out.value([new Date('1969-12-31T23:59:59.123Z')], 0);
    expect(decodeValue(out.take())).toEqual([new Timestamp(-1, 123_000_000)]);
  });

  test('strings of every length around the header sizes come back', () => {
    for (const length of [0, 1, 31, 32, 47, 48, 255, 256, 65535, 65536]) {
      for (const unit of ['a', 'é', '€', '😀']) {
        const text = unit.repeat(length).slice(0, unit.length * length);
        expect(decodeValue(encodeValue(text))).toBe(text);
      }
    }
  });

  test('maps have no prototype, and bins do not keep the payload', () => {
    const payload = encodeValue({ toString: 1, bin: new Uint8Array([1, 2, 3]) });
    const map = decodeValue(payload) as { [key: string]: Value };
    expect(Object.getPrototypeOf(map)).toBeNull();
    expect(map['toString']).toBe(1);
    expect((map['bin'] as Uint8Array).buffer).not.toBe(payload.buffer);
    expect((map['bin'] as Uint8Array).buffer.byteLength).toBe(3);
  });

  test.each<[string, unknown, RegExp]>([
    ['NaN', NaN, /NaN/],
    ['an infinity', [Infinity], /Infinity/],
    ['a lone surrogate', 'a\ud800b', /surrogate/],
    ['a lone surrogate in a long string', `${'x'.repeat(100)}\udc00`, /surrogate/],
    ['a lone surrogate in a key', { '\ud800': 1 }, /surrogate/],
    ['undefined', [undefined], /undefined/],
    ['a hole in an array', new Array(1), /undefined/],
    ['a function', () => 1, /function/],
    ['a symbol', Symbol('x'), /symbol/],
    ['2^64', 2n ** 64n, /2\^64/],
    ['−2^63 − 1', -(2n ** 63n) - 1n, /2\^63/],
    ['an invalid date', new Date(NaN), /date/],
    ['a timestamp of fractions', new Timestamp(1.5, 0), /1\.5 s/],
    ['10^9 nanoseconds', new Timestamp(1, 1e9), /ns/],
    ['the key __proto__', JSON.parse('{"__proto__": 1}'), /__proto__/],
    ['the key constructor', { constructor: 1 }, /constructor/],
    ['the key prototype', { prototype: 1 }, /prototype/],
    ['a Map', new Map(), /Map/],
    ['a typed array of wider numbers', new Float64Array(1), /Float64Array/],
    ['17 levels', nested(17), /16/],
    ['an array that holds itself', circular(), /16/],
  ])('%s cannot be sent', (_, value, message) => {
    const out = new MsgpackWriter();
    expect(() => out.value(value, 0)).toThrow(TypeError);
    expect(() => out.value(value, 0)).toThrow(message);
  });

  test('16 levels can be sent', () => {
    expect(scanValue(encodeValue(nested(16)))).toBeUndefined();
  });

  test('a key that is there twice is refused', () => {
    expect(() => decodeValue(Buffer.from('82a16101a16102', 'hex'))).toThrow(expect.objectContaining({ code: 'malformed_payload' }));
  });
});

describe('the writer', () => {
  test('drops what came after an earlier length', () => {
    const out = new MsgpackWriter(4);
    out.int(1);
    const { length } = out;
    out.str('a longer string than the writer had room for');
    out.length = length;
    out.bool(false);
    expect(toHex(out.take())).toBe('01c2');
    expect(out.length).toBe(0);
    expect(() => (out.length = 1)).toThrow(RangeError);
  });
});

function nested(depth: number): Value {
  let value: Value = 1;
  for (let i = 0; i < depth; i++) value = [value];
  return value;
}

function circular(): unknown {
  const array: unknown[] = [];
  array.push(array);
  return array;
}

/** Whether every timestamp is a whole number of milliseconds that a `Date` can hold. */
function datesOnly(value: Value): boolean {
  if (value instanceof Timestamp) return value.nanoseconds % 1_000_000 === 0 && Math.abs(value.seconds) < 8e12;
  if (value instanceof Uint8Array || typeof value !== 'object' || value === null) return true;
  return Object.values(value).every(datesOnly);
}

function withDates(value: Value): unknown {
  if (value instanceof Timestamp) return new Date(value.seconds * 1000 + value.nanoseconds / 1e6);
  if (value instanceof Uint8Array || typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(withDates);
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withDates(item)]));
}

/** The same shape for what both libraries decode: dates as ms, bins as hex, −0 as 0, maps as entries, bigint where it must be. */
function comparable(value: unknown): unknown {
  if (value instanceof Date) return { date: value.getTime() };
  if (value instanceof Timestamp) return { date: value.seconds * 1000 + value.nanoseconds / 1e6 };
  if (value instanceof Uint8Array) return { bin: Buffer.from(value).toString('hex') };
  if (Array.isArray(value)) return value.map(comparable);
  if (typeof value === 'object' && value !== null) return { map: Object.entries(value).map(([key, item]) => [key, comparable(item)]) };
  if (typeof value === 'bigint' && Number.isSafeInteger(Number(value))) return Number(value);
  return value === 0 ? 0 : value;
}
