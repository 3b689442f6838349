import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Access } from '../core/access.ts';
import type { ChangeGroup, Op } from '../core/change.ts';
import { encodeBatch } from './batch.ts';
import { BatchScan, scanValue } from './scan.ts';
import { isUtf8 } from './value-scan.ts';

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex');
const u32 = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};

/** Payloads that end or bloat a process when a trusting decoder reads them, and why we refuse them. */
const BOMBS: [string, Buffer, RegExp][] = [
  // Lengths that are announced and not there.
  ['array32 of four billion', hex('dd ffffffff'), /array announces 4294967295 entries and 0/],
  ['array32 of 33 million in 6 bytes', hex('dd 02000000 c0'), /array announces 33554432/],
  ['array32 of one too many', Buffer.concat([hex('dd 00000004'), hex('c0c0c0')]), /announces 4 entries and 3/],
  ['array16 of 65,535', hex('dc ffff 01'), /array announces 65535/],
  ['fixarray of 15', hex('9f 01'), /array announces 15/],
  ['array32 cut in its header', hex('dd ffff'), /announces/],
  ['arrays of arrays of announced lengths', hex('dd 00000002 dd ffffffff c0'), /announces 4294967295/],
  ['map32 of four billion', hex('df ffffffff'), /map announces 4294967295/],
  ['map16 of 65,535', hex('de ffff a1 61 01'), /map announces 65535/],
  ['fixmap without its value', hex('81 a1 61'), /ends early/],
  ['map of as many pairs as bytes', hex('82 a0 01 a0'), /map announces 2 entries and 3/],
  ['str32 of four billion', hex('db ffffffff 61'), /str announces 4294967295 bytes and 1/],
  ['str16 of 65,535', hex('da ffff'), /str announces 65535/],
  ['str8 of 255', hex('d9 ff 61'), /str announces 255/],
  ['fixstr of 31', hex('bf 61'), /str announces 31/],
  ['bin32 of four billion', hex('c6 ffffffff'), /bin announces 4294967295/],
  ['bin16 of 65,535', hex('c5 ffff 00'), /bin announces 65535/],
  ['bin8 cut in its header', hex('c4'), /announces|early/],
  ['nothing', hex(''), /ends early/],
  ['an int cut off', hex('cf 00000000'), /ends early/],
  ['a float cut off', hex('cb 3ff8'), /ends early/],
  // Depth.
  ['a million nested arrays', Buffer.alloc(1_000_000, 0x91), /nest more than 16/],
  ['a million nested maps', Buffer.alloc(1_000_000, '81a161', 'hex'), /nest more than 16/],
  ['17 nested arrays', Buffer.concat([Buffer.alloc(17, 0x91), hex('c0')]), /nest more than 16/],
  ['a million arrays of announced length', Buffer.alloc(1_000_000, 'dd000f0000', 'hex'), /nest|announces/],
  // Extensions and types that are not of this world.
  ['a record definition (0x72)', hex('d4 72 40 91 a1 61 01'), /type 0xd4/],
  ['a record definition of 8 bytes', hex('d7 72 0000000000000000'), /extension/],
  ['a RegExp extension', hex('c7 05 78 92 a1 61 a0 00'), /extension/],
  ['a set extension', hex('d4 73 00'), /type 0xd4/],
  ['a typed array extension', hex('c8 0001 74 00'), /type 0xc8/],
  ['a big integer extension of 1 MiB', Buffer.concat([hex('c9 00100000 42'), Buffer.alloc(1 << 20, 0xff)]), /type 0xc9/],
  ['ext32 of four billion', hex('c9 ffffffff ff'), /type 0xc9/],
  ['an extension of 16 bytes', Buffer.concat([hex('d8 ff'), Buffer.alloc(16)]), /type 0xd8/],
  ['a pointer to an outer value', hex('d6 69 00000001'), /extension/],
  ['a timestamp of an odd length', hex('c7 05 ff 0000000001'), /extension/],
  ['a timestamp cut off', hex('d7 ff 00000000'), /beyond/],
  ['a timestamp with 10^9 nanoseconds in 8 bytes', hex('d7 ff ee6b2800 00000000'), /nanoseconds/],
  ['a timestamp with 10^9 nanoseconds in 12 bytes', hex('c7 0c ff 3b9aca00 0000000000000000'), /nanoseconds/],
  ['a timestamp far outside 2^53 seconds', hex('c7 0c ff 00000000 7fffffffffffffff'), /2\^53/],
  ['the type that is never used (0xc1)', hex('c1'), /type 0xc1/],
  ['0xc1 inside an array', hex('92 01 c1'), /type 0xc1/],
  // Keys.
  ['the key __proto__', Buffer.concat([hex('81 a9'), Buffer.from('__proto__'), hex('80')]), /__proto__/],
  ['the key constructor', Buffer.concat([hex('81 ab'), Buffer.from('constructor'), hex('80')]), /constructor/],
  ['the key prototype, as str8', Buffer.concat([hex('81 d9 09'), Buffer.from('prototype'), hex('80')]), /prototype/],
  ['the key __proto__ deep inside', Buffer.concat([hex('91 81 a1 61 81 a9'), Buffer.from('__proto__'), hex('01')]), /__proto__/],
  ['an integer as a key', hex('81 01 01'), /key that is not a str/],
  ['nil as a key', hex('81 c0 01'), /key that is not a str/],
  ['an array as a key', hex('81 90 01'), /key that is not a str/],
  ['a bin as a key', hex('81 c4 01 61 01'), /key that is not a str/],
  // Floats that are no numbers.
  ['NaN', hex('cb 7ff8000000000000'), /not finite/],
  ['NaN with a payload', hex('cb 7ff0000000000001'), /not finite/],
  ['infinity', hex('cb 7ff0000000000000'), /not finite/],
  ['−infinity', hex('cb fff0000000000000'), /not finite/],
  ['NaN in 32 bits', hex('ca 7fc00000'), /not finite/],
  ['−infinity in 32 bits', hex('ca ff800000'), /not finite/],
  // Text that is no text.
  ['a stray continuation byte', hex('a1 80'), /UTF-8/],
  ['an overlong slash', hex('a2 c0af'), /UTF-8/],
  ['an overlong NUL', hex('a2 c080'), /UTF-8/],
  ['an overlong form of 3 bytes', hex('a3 e08080'), /UTF-8/],
  ['an overlong form of 4 bytes', hex('a4 f0808080'), /UTF-8/],
  ['a high surrogate', hex('a3 eda080'), /UTF-8/],
  ['a low surrogate', hex('a3 edbfbf'), /UTF-8/],
  ['a pair of surrogates in 6 bytes', hex('a6 eda080edb080'), /UTF-8/],
  ['a character above U+10FFFF', hex('a4 f4908080'), /UTF-8/],
  ['the byte ff', hex('a1 ff'), /UTF-8/],
  ['a character that the str cuts in half', hex('92 a1 c3 a1 a4'), /UTF-8/],
  ['a bad key', hex('81 a1 ff 01'), /UTF-8/],
  // More than one value.
  ['a trailing byte', hex('01 c0'), /1 bytes follow/],
  ['2 MiB behind a map', Buffer.concat([hex('80'), Buffer.alloc(2 << 20, 1)]), /2097152 bytes follow/],
];

describe('the scan of a value', () => {
  test.each(BOMBS)('refuses %s', (_, bytes, reason) => {
    const before = process.memoryUsage();
    expect(scanValue(bytes)).toMatch(reason);
    const after = process.memoryUsage();
    expect(after.arrayBuffers - before.arrayBuffers).toBeLessThan(1 << 20);
    expect(after.heapTotal - before.heapTotal).toBeLessThan(64 << 20);
  });

  test.each(BOMBS)('refuses a batch with %s in a row', (_, bytes, reason) => {
    const scan = new BatchScan();
    const row = Buffer.concat([hex('81 a163 91 95 a174 00 01 91 a16b 91 91'), bytes]);
    expect(scan.scan(row)).toBe(false);
    expect(scan.reason).not.toBe('');
    // A row shifts what follows by its own depth and ends the batch; the first fault is still the one that is named.
    if (!/follow|early/.test(reason.source)) expect(scan.reason).toMatch(reason);
  });

  test('accepts 16 levels, empty containers and every character', () => {
    expect(scanValue(Buffer.concat([Buffer.alloc(16, 0x91), hex('c0')]))).toBeUndefined();
    expect(scanValue(Buffer.concat([Buffer.alloc(15, 0x91), hex('80')]))).toBeUndefined();
    expect(scanValue(hex('92 90 80'))).toBeUndefined();
    for (const text of ['\0', '\x7f', '\x80', '߿', 'ࠀ', '\ud7ff', '\ue000', '\uffff', '𐀀', '\u{10ffff}']) {
      const bytes = Buffer.from(text);
      expect(scanValue(Buffer.concat([Buffer.from([0xa0 | bytes.length]), bytes]))).toBeUndefined();
    }
  });

  test('knows UTF-8 as the platform does', () => {
    const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 6 }),
      fc
        .array(
          fc.constantFrom(
            0x00,
            0x41,
            0x7f,
            0x80,
            0x8f,
            0x90,
            0x9f,
            0xa0,
            0xbf,
            0xc0,
            0xc2,
            0xdf,
            0xe0,
            0xe1,
            0xed,
            0xef,
            0xf0,
            0xf3,
            0xf4,
            0xf5,
          ),
          { maxLength: 5 },
        )
        .map((list) => Uint8Array.from(list)),
    );
    fc.assert(
      fc.property(bytes, (text) => {
        let valid = true;
        try {
          strict.decode(text);
        } catch {
          valid = false;
        }
        expect(isUtf8(text, 0, text.length)).toBe(valid);
      }),
      { numRuns: 20_000 },
    );
  });
});

/** `{c: [[table, op, keyCount, columns, rows]]}` with parts in hex. */
function group(parts: { table?: string; op?: string; keyCount?: string; columns?: string; rows?: string }): Buffer {
  const { table = 'a174', op = '00', keyCount = '01', columns = '92a16ba178', rows = '91920102' } = parts;
  return hex(`81a1639195${table}${op}${keyCount}${columns}${rows}`);
}

describe('the scan of a batch', () => {
  test('takes so many changes and no more, over all groups', () => {
    const group = (count: number) => ({
      table: 't',
      op: 'upsert' as const,
      keyCount: 1,
      columns: ['id'],
      rows: Array.from({ length: count }, () => [1]),
    });
    const scan = new BatchScan();
    expect(scan.scan(encodeBatch({ groups: [group(65_530), group(6)] }))).toBe(true);
    expect(scan.scan(encodeBatch({ groups: [group(65_530), group(7)] }))).toBe(false);
    expect(scan.reason).toContain('more than 65536 changes');
  });

  const scan = new BatchScan();

  test('accepts the smallest one and counts', () => {
    expect(scan.scan(group({ columns: '91a16b', rows: '93 9101 9102 9103' }))).toBe(true);
    expect(scan.changes).toBe(3);
    expect(scan.tables()).toEqual(['t']);
  });

  test('can be used again after a refusal', () => {
    expect(scan.scan(hex('c0'))).toBe(false);
    expect(scan.scan(group({}))).toBe(true);
    expect(scan.reason).toBe('');
    expect(scan.changes).toBe(1);
  });

  test.each<[string, Buffer, RegExp]>([
    ['that is no map', hex('90'), /not a map/],
    ['that is empty', hex(''), /ends early/],
    ['without "c"', hex('80'), /no "c"/],
    ['with an unknown key', hex('82a16390a16b01'), /keys "t", "o" and "c" only|no changes/],
    ['with a longer key', hex('81a2636390'), /keys "t", "o" and "c" only/],
    ['with an integer key', hex('810190'), /keys "t", "o" and "c" only/],
    ['with "t" twice', hex('82a17401a17401'), /"t" twice/],
    ['with a negative time', hex('82a174ffa16390'), /"t" is not/],
    ['with a float as time', hex('82a174ca3f800000a16390'), /"t" is not/],
    ['with a time of 2^53', hex('82a174cf0020000000000000a16390'), /"t" is not/],
    ['with a bad origin', hex('82a16fc1a16390'), /0xc1/],
    ['with groups that are no array', hex('81a16380'), /"c" is not an array/],
    ['without groups', hex('81a16390'), /no changes/],
    ['with a group of four', hex('81a1639194a174000191a16b'), /group 0 is not/],
    ['with a table that is no str', group({ table: '01' }), /group 0: the table/],
    ['with a table without a name', group({ table: 'a0' }), /group 0: the table/],
    ['with a table of 257 bytes', group({ table: `da0101${'61'.repeat(257)}` }), /group 0: the table/],
    ['with op 4', group({ op: '04' }), /op is none of 0 to 3/],
    ['with op −1', group({ op: 'ff' }), /op is none/],
    ['with an op that is a str', group({ op: 'a175' }), /op is none/],
    ['without a key', group({ keyCount: '00' }), /key count/],
    ['with a key beyond its columns', group({ keyCount: '03' }), /key count/],
    ['without columns', group({ columns: '90', rows: '9190' }), /columns are not/],
    ['with 4,097 columns', group({ columns: `dc1001${'a0'.repeat(4097)}` }), /columns are not/],
    ['with a column that is no str', group({ columns: '92a16b01' }), /column 1 is not a name/],
    ['with an empty column', group({ columns: '92a16ba0' }), /column 1 is not a name/],
    ['with a column twice', group({ columns: '92a16ba16b' }), /column 1 repeats/],
    ['with a delete of more than its key', group({ op: '03' }), /delete/],
    ['with an update of its key only', group({ op: '02', keyCount: '02' }), /update/],
    ['without rows', group({ rows: '90' }), /rows are not/],
    ['with rows that are no array', group({ rows: '01' }), /rows are not/],
    ['with a row that is no array', group({ rows: '9101' }), /row 0 is not an array/],
    ['with a short row', group({ rows: '92 920102 9101' }), /row 1 has 1 values for 2/],
    ['with a long row', group({ rows: '91 93010203' }), /row 0 has 3 values for 2/],
    ['with bytes after it', Buffer.concat([group({}), hex('c0')]), /1 bytes follow/],
    ['with a row that announces more', group({ rows: '91 ddffffffff' }), /announces 4294967295/],
    ['with rows that announce more', group({ rows: 'ddffffffff' }), /announces 4294967295/],
    ['with groups that announce more', hex('81a163ddffffffff'), /announces 4294967295/],
    ['with a value nested 12 deep', group({ rows: `919201${'91'.repeat(12)}c0` }), /nest/],
  ])('refuses one %s', (_, payload, reason) => {
    expect(scan.scan(payload)).toBe(false);
    expect(scan.reason).toMatch(reason);
  });

  test('names columns and tables by bytes, in any number', () => {
    const columns = Array.from({ length: 4096 }, (_, i) => `column ${i}`);
    const names = columns.map((name) => Buffer.concat([Buffer.from([0xa0 | name.length]), Buffer.from(name)]));
    const wide = Buffer.concat([hex('95 a174 00 01 dc1000'), ...names, hex('91 dc1000'), Buffer.alloc(4096, 0xc0)]);
    expect(scan.scan(Buffer.concat([hex('81a16391'), wide])), scan.reason).toBe(true);

    const tables = names.map((name) => Buffer.concat([hex('95'), name, hex('00 01 91a16b 91 9101')]));
    expect(scan.scan(Buffer.concat([hex('81a163dd'), u32(8192), ...tables, ...tables])), scan.reason).toBe(true);
    expect(scan.tables()).toEqual(columns);
    expect(scan.changes).toBe(8192);

    const more = Buffer.concat([hex('81a163dd'), u32(4097), ...tables, hex('95 a17a 00 01 91a16b 91 9101')]);
    expect(scan.scan(more)).toBe(false);
    expect(scan.reason).toMatch(/more than 4096 tables/);
  });
});

describe('what a producer may write', () => {
  const scan = new BatchScan();
  const access = new Access('shop', [
    { tables: ['städte', 'a_*'], operations: ['upsert', 'delete'] },
    { tables: ['narrow'], operations: ['update'], columns: ['name'] },
  ]);
  const groupOf = (table: string, op: Op, columns: readonly string[]): ChangeGroup => ({
    ...{ table, op, keyCount: 1, columns },
    rows: [columns.map(() => 1)],
  });
  const good = groupOf('städte', 'upsert', ['id', 'name']);
  const bad = groupOf('secret', 'upsert', ['id', 'name']);
  const denialOf = (...groups: ChangeGroup[]) => {
    expect(scan.scan(encodeBatch({ groups }), access), scan.reason).toBe(true);
    return scan.denial;
  };

  test('none of it: the first reason; some of it: nothing is said', () => {
    expect(denialOf(good)).toBeUndefined();
    expect(denialOf(bad, groupOf('städte', 'insert', ['id']))).toMatchObject({
      code: 'not_allowed',
      message: expect.stringContaining('may not upsert table "secret"'),
    });
    expect(denialOf(bad, good, bad)).toBeUndefined();
    expect(denialOf(groupOf('städte2', 'upsert', ['id']))).toBeDefined();
    expect(denialOf(groupOf('a_', 'delete', ['id']))).toBeUndefined();
  });

  test('by column, but for those of the key', () => {
    expect(denialOf(groupOf('narrow', 'update', ['id', 'name']))).toBeUndefined();
    expect(denialOf(groupOf('narrow', 'update', ['id', 'name', 'wage']))?.message).toContain('column "wage" of table "narrow"');
  });

  test('is asked of well-formed batches only, and not at all of producers without rules', () => {
    const payload = encodeBatch({ groups: [bad] });
    expect(scan.scan(payload.subarray(0, -1), access)).toBe(false);
    expect(scan.scan(payload)).toBe(true);
    expect(scan.denial).toBeUndefined();
  });
});
