import { describe, expect, test } from 'vitest';
import { Timestamp } from '../../core/change.ts';
import { codecOf, type ColumnDefinition, type NonNull } from './columns.ts';

const column = (type: string, fields: Partial<ColumnDefinition> = {}): ColumnDefinition => ({
  name: 'c',
  type,
  declared: type,
  nullable: true,
  optional: true,
  generated: false,
  maxCharacters: undefined,
  maxBytes: undefined,
  precision: undefined,
  scale: undefined,
  fractionDigits: 0,
  charset: 'utf8mb4',
  collation: 'utf8mb4_bin',
  ...fields,
});
const literal = (definition: ColumnDefinition, value: NonNull) => {
  const codec = codecOf(definition);
  const refusal = codec.check(value);
  return refusal?.code ?? codec.literal(value);
};
const keyCheck = (definition: ColumnDefinition, value: NonNull) => {
  const codec = codecOf(definition);
  return codec.check(value)?.code ?? codec.checkKey(value)?.code ?? codec.keyText(value);
};

describe('literals', () => {
  test('cannot be left by any text', () => {
    const text = column('varchar', { maxCharacters: 100 });
    expect(literal(text, "it's")).toBe("'it''s'");
    expect(literal(text, "\\'")).toBe("'\\\\'''");
    expect(literal(text, 'a\0b')).toBe("'a\\0b'");
    expect(literal(column('json'), '"\\\\"')).toBe(`'"\\\\\\\\"'`);
    expect(literal(column('enum', { declared: "enum('a\\b','it''s')" }), "it's")).toBe("'it''s'");
    expect(literal(column('longblob', { maxBytes: 10 }), Buffer.from("'"))).toBe("x'27'");
  });

  test('of one column have one SQL type', () => {
    expect([1, 1.5, 1e21, 1e-7, -0, '2', 3n].map((value) => literal(column('double'), value))).toEqual([
      '1e0',
      '1.5e0',
      '1e+21',
      '1e-7',
      '-0e0',
      '2e0',
      '3e0',
    ]);
    expect([true, 5, -0, 2n, '7'].map((value) => literal(column('int'), value))).toEqual(['1', '5', '0', '2', '7']);
    const decimal = column('decimal', { precision: 30, scale: 8 });
    expect(['1.50', '+2', '.5', 1e21, 1e-7, 3n].map((value) => literal(decimal, value))).toEqual([
      '1.50',
      '+2',
      '.5',
      '1000000000000000000000',
      '0.0000001',
      '3',
    ]);
    expect(literal(decimal, `${'0'.repeat(80)}1.50`)).toBe('1.50000000');
  });

  test('of points in time are UTC', () => {
    const datetime = column('datetime', { fractionDigits: 3 });
    expect(literal(datetime, '2026-11-21T00:30:00+01:00')).toBe("'2026-11-20 23:30:00.000'");
    expect(literal(datetime, '2026-11-21 09:30:00.120')).toBe("'2026-11-21 09:30:00.120'");
    expect(literal(datetime, new Timestamp(-1, 999_000_000))).toBe("'1969-12-31 23:59:59.999'");
    expect(literal(datetime, '2026-11-21T09:30:00.1200+00:00')).toBe("'2026-11-21 09:30:00.120'");
    expect(literal(column('date'), new Timestamp(-86_400, 0))).toBe("'1969-12-31'");
  });
});

describe('checks', () => {
  test('know the calendar', () => {
    const codes = ['2000-02-29', '1900-02-29', '2023-04-31', '2024-13-01', '2024-12-00', '0000-01-01'].map(
      (day) => codecOf(column('date')).check(day)?.code,
    );
    expect(codes).toEqual([undefined, 'out_of_range', 'out_of_range', 'out_of_range', 'out_of_range', 'out_of_range']);
  });

  test('count characters of text and bytes of TEXT', () => {
    const varchar = codecOf(column('varchar', { maxCharacters: 3 }));
    expect([varchar.check('abc'), varchar.check('🎉🎉🎉'), varchar.check('abcd')?.code, varchar.check('🎉🎉🎉🎉')?.code]).toEqual([
      undefined,
      undefined,
      'too_long',
      'too_long',
    ]);
    const text = codecOf(column('tinytext', { maxBytes: 4 }));
    expect([text.check('🎉'), text.check('éé'), text.check('ééé')?.code]).toEqual([undefined, undefined, 'too_long']);
  });

  test('never put the value into the reason', () => {
    const definitions = [
      column('int'),
      column('decimal', { precision: 5, scale: 2 }),
      column('datetime'),
      column('time'),
      column('varchar', { maxCharacters: 2 }),
      column('json'),
      column('uuid'),
      column('enum', { declared: "enum('a')" }),
    ];
    for (const definition of definitions) expect(codecOf(definition).check('hunter2, at length')?.reason).not.toContain('hunter2');
  });

  test('refuse every value of a type that is not known', () => {
    expect(codecOf(column('geometry')).check('x')?.code).toBe('wrong_type');
  });
});

describe('keys', () => {
  test('have one spelling', () => {
    expect([5, 5n, '5', true].map((value) => keyCheck(column('int'), value))).toEqual(['5', '5', '5', 'key_not_canonical']);
    const decimal = column('decimal', { precision: 10, scale: 2 });
    expect(['1.50', '1.5', '01.50', '+1.50', '-0.00', '0.00', '-1.00'].map((value) => keyCheck(decimal, value))).toEqual([
      '1.50',
      ...Array(4).fill('key_not_canonical'),
      '0.00',
      '-1.00',
    ]);
    const datetime = column('datetime', { fractionDigits: 1 });
    expect(
      ['2026-01-01 00:00:00.0', '2026-01-01 00:00:00', '2026-01-01T00:00:00.0', '2026-01-01 00:00:00.0Z'].map((value) =>
        keyCheck(datetime, value),
      ),
    ).toEqual(['2026-01-01 00:00:00.0', ...Array(3).fill('key_not_canonical')]);
    expect(keyCheck(datetime, new Timestamp(0, 0))).toBe('key_not_canonical');
    const time = column('time', { fractionDigits: 1 });
    expect(['01:00:00.0', '01:00:00', '001:00:00.0', '-00:00:00.0', '-100:00:00.5'].map((value) => keyCheck(time, value))).toEqual([
      '01:00:00.0',
      ...Array(3).fill('key_not_canonical'),
      '-100:00:00.5',
    ]);
    expect(['a,b', 'b,a'].map((value) => keyCheck(column('set', { declared: "set('a','b')" }), value))).toEqual([
      'a,b',
      'key_not_canonical',
    ]);
    expect(keyCheck(column('uuid'), '123E4567-e89b-12d3-a456-426614174000')).toBe('key_not_canonical');
    expect(['::1', '::0001', '2001:DB8::1', '::ffff:1.2.3.4', '::ffff:102:304'].map((value) => keyCheck(column('inet6'), value))).toEqual([
      '::1',
      ...Array(4).fill('key_not_canonical'),
    ]);
  });

  test('in text columns depend on the collation', () => {
    const key = (collation: string, value: string) => keyCheck(column('varchar', { maxCharacters: 50, collation }), value);
    expect([key('utf8mb4_bin', 'Ä b'), key('utf8mb4_bin', 'b '), key('utf8mb4_nopad_bin', 'b '), key('utf8mb4_0900_bin', 'b ')]).toEqual([
      'Ä b',
      'key_not_canonical',
      'b ',
      'b ',
    ]);
    expect([key('utf8mb4_0900_ai_ci', '12ab-cd'), key('utf8mb4_0900_ai_ci', 'AB'), key('utf8mb4_uca1400_nopad_as_cs', 'x')]).toEqual([
      '12ab-cd',
      'key_not_canonical',
      'x',
    ]);
    expect([key('utf8mb4_lithuanian_ci', 'a'), key('utf8mb4_lt_0900_ai_ci', 'a'), key('utf8mb4_uca1400_lithuanian_ai_ci', 'a')]).toEqual(
      Array(3).fill('key_not_canonical'),
    );
  });
});

describe('what is read in one go', () => {
  /** The same value, spelled so that it has to be read with care. */
  const slowly = (text: string) => `${text}Z`;

  test('as a time of day is judged as its other spellings are', () => {
    const parts = [
      ['0000', '0001', '1970', '2038', '2024', '2023', '9999', '20x4'],
      ['00', '01', '02', '12', '13', '1 '],
      ['00', '01', '19', '28', '29', '31', '32'],
      [' ', 'T', '_'],
      ['00', '03', '23', '24'],
      [':', '.'],
      ['00', '14', '59', '60'],
      ['00', '07', '08', '59', '60', '+1'],
    ] as const;
    let count = 0;
    let taken = 0;
    for (const type of ['datetime', 'timestamp']) {
      const codec = codecOf(column(type));
      for (const year of parts[0])
        for (const month of parts[1])
          for (const day of parts[2])
            for (const between of parts[3])
              for (const hour of parts[4])
                for (const colon of parts[5])
                  for (const minute of parts[6])
                    for (const second of parts[7]) {
                      const text = `${year}-${month}-${day}${between}${hour}:${minute}${colon}${second}`;
                      const [plain, careful] = [codec.check(text), codec.check(slowly(text))];
                      if (plain !== careful) throw new Error(`${type} ${text}: ${plain?.code} and ${careful?.code}`);
                      count++;
                      if (plain === undefined) taken++;
                    }
    }
    expect(count).toBe(2 * 8 * 6 * 7 * 3 * 4 * 2 * 4 * 6);
    expect(taken).toBeGreaterThan(1000);
  });

  test('as a decimal is judged as its other spellings are', () => {
    const codec = codecOf(column('decimal', { precision: 5, scale: 2 }));
    const digits = ['', '0', '7', '00', '12', '123', '0123', '1234', '12345'];
    for (const whole of digits)
      for (const fraction of ['', '.', ...digits.filter((text) => text !== '').map((text) => `.${text}`), '.1.2', '.1x']) {
        const text = whole + fraction;
        expect([text, codec.check(text)?.code]).toEqual([text, codec.check(`+${text}`)?.code]);
      }
  });
});
