import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Timestamp, type Value } from '../../src/core/change.ts';
import { systemClock } from '../../src/core/clock.ts';
import { partitionOf } from '../../src/core/partition.ts';
import { jsonText } from '../../src/sinks/json.ts';
import { openSqliteSink } from '../../src/sinks/sqlite/sqlite.ts';
import { isFault, type Shape, type Sink } from '../../src/sinks/sink.ts';
import { beginIn } from '../support/one-partition.ts';

const TYPES = [
  'INTEGER',
  'BIGINT',
  'REAL',
  'TEXT',
  'VARCHAR(3)',
  'BLOB',
  '',
  'NUMERIC',
  'DECIMAL(10,2)',
  'BOOLEAN',
  'DATE',
  'DATETIME',
  'TIMESTAMP TEXT',
  'JSON',
  'JSON TEXT',
  'STRING',
  'UUID',
];
const STRICT_TYPES = ['INT', 'INTEGER', 'REAL', 'TEXT', 'BLOB', 'ANY'];
const EVERY_TYPE = [...TYPES.map((type) => ({ type, strict: false })), ...STRICT_TYPES.map((type) => ({ type, strict: true }))];

let folder: string;
let db: DatabaseSync;
let sink: Sink;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'syncline-types-'));
  const file = join(folder, 'data.db');
  sink = openSqliteSink({ name: 'main', file, schema: 'evolve', clock: systemClock });
  await sink.prepare({ partitions: 1, mapping: '' });
  db = new DatabaseSync(file);
  db.exec('BEGIN');
  for (const [index, { type, strict }] of EVERY_TYPE.entries()) {
    db.exec(`CREATE TABLE v${index} (id INTEGER PRIMARY KEY, v ${type})${strict ? ' STRICT' : ''}`);
    db.exec(`CREATE TABLE k${index} (k ${type} NOT NULL PRIMARY KEY, n INTEGER)${strict ? ' STRICT' : ''}`);
  }
  db.exec('COMMIT');
  await sink.refreshSchema();
});

afterAll(async () => {
  db.close();
  await sink.close();
  rmSync(folder, { recursive: true });
});

describe('every value', () => {
  const time = (text: string, nanoseconds = 0) => new Timestamp(Date.parse(`${text}Z`) / 1000, nanoseconds);
  test.for<[string, Value, unknown]>([
    ['INTEGER', 0, 0n],
    ['INTEGER', -0, 0n],
    ['INTEGER', Number.MAX_SAFE_INTEGER, 9007199254740991n],
    ['INTEGER', 2n ** 63n - 1n, 9223372036854775807n],
    ['INTEGER', -(2n ** 63n), -9223372036854775808n],
    ['INTEGER', '-9223372036854775808', -9223372036854775808n],
    ['INTEGER', true, 1n],
    ['INTEGER', 1.5, 1.5],
    ['INTEGER', 1e300, 1e300],
    ['REAL', 5, 5],
    ['REAL', 0.1, 0.1],
    ['REAL', 5e-324, 5e-324],
    ['REAL', 1.7976931348623157e308, 1.7976931348623157e308],
    ['REAL', '0.1', 0.1],
    ['REAL', 2n ** 64n, 2 ** 64],
    ['DECIMAL(10,2)', '12.50', 12.5],
    ['DECIMAL(10,2)', '-1234567890123.45', -1234567890123.45],
    ['BOOLEAN', false, 0n],
    ['TEXT', '', ''],
    ['TEXT', '12.50', '12.50'],
    ['TEXT', '007', '007'],
    ['TEXT', 'a\0b 🎉 é', 'a\0b 🎉 é'],
    ['TEXT', 5, '5'],
    ['TEXT', 0.1, '0.1'],
    ['TEXT', 2n ** 64n - 1n, '18446744073709551615'],
    ['TEXT', time('2026-11-21T09:30:00', 123_456_000), '2026-11-21 09:30:00.123456'],
    ['TEXT', time('2026-11-21T09:30:00', 123_456_789), '2026-11-21 09:30:00.123456789'],
    ['TIMESTAMP TEXT', time('0000-01-01T00:00:00'), '0000-01-01 00:00:00.000000'],
    ['DATETIME', time('9999-12-31T23:59:59', 999_999_999), '9999-12-31 23:59:59.999999999'],
    ['DATETIME', time('1969-12-31T23:59:59', 1), '1969-12-31 23:59:59.000000001'],
    ['DATE', '2026-11-21', '2026-11-21'],
    ['JSON TEXT', { a: [1, null, 'x', 2n ** 63n], b: { c: true } }, '{"a":[1,null,"x",9223372036854775808],"b":{"c":true}}'],
    ['JSON', [], '[]'],
    ['JSON TEXT', [new Uint8Array([1, 2, 255])], '["AQL/"]'],
    ['BLOB', new Uint8Array([0, 255]), new Uint8Array([0, 255])],
    ['BLOB', new Uint8Array(), new Uint8Array()],
    ['BLOB', 5, 5n],
    ['BLOB', 'text', 'text'],
    ['', 5, 5n],
    ['', 5.5, 5.5],
    ['', '5', '5'],
    ['', null, null],
    ['VARCHAR(3)', 'longer than that', 'longer than that'],
  ])('in a column of type %s comes back as it was: %o', async ([type, value, stored]) => {
    expect(
      await roundTrip(
        EVERY_TYPE.findIndex((each) => each.type === type && !each.strict),
        [value],
      ),
    ).toEqual([{ value, stored }]);
  });

  test('comes back with every digit, or is refused', async () => {
    let accepted = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: EVERY_TYPE.length - 1 }),
        fc.array(anyValue(), { minLength: 1, maxLength: 10 }),
        async (index, values) => {
          const { type, strict } = EVERY_TYPE[index]!;
          for (const { value, stored: found } of await roundTrip(index, values)) {
            accepted++;
            expect(means(found, value, type), `${type}${strict ? ' STRICT' : ''}: ${jsonText(value)} became ${String(found)}`).toBe(true);
          }
        },
      ),
      { numRuns: 600 },
    );
    expect(accepted).toBeGreaterThan(1000);
  });
});

describe('two keys', () => {
  test('are the same row exactly when they have the same key text, and then belong in the same partition', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: EVERY_TYPE.length - 1 }), keyPair(), async (index, [a, b]) => {
        const shape = shapeOf(`k${index}`, ['k', 'n']);
        if (shape.check([a, 1]) !== undefined || shape.check([b, 2]) !== undefined) return;
        const transaction = await beginIn(sink, 0, []);
        await transaction.write([{ shape, rows: [[a, 1]] }]);
        await transaction.write([{ shape, rows: [[b, 2]] }]);
        await transaction.commit(new Map(), []);
        const { n } = db.prepare(`SELECT count(*) AS n FROM k${index}`).get() as { n: number };
        db.exec(`DELETE FROM k${index}`);
        expect(shape.keyOf([a, 1]) === shape.keyOf([b, 2])).toBe(n === 1);
        if (n === 1) expect(partitionOf('k', [a], 2 ** 32)).toBe(partitionOf('k', [b], 2 ** 32));
      }),
      { numRuns: 800 },
    );
  });
});

describe('a schema that evolves', () => {
  test('declares columns so that the values that made them come back exactly', async () => {
    let tableCount = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(anyValue(), { minLength: 1, maxLength: 3 }), async (values) => {
        const table = `evolved_${++tableCount}`;
        const rows = values.map((value, id) => [id, value]);
        await sink.evolve([{ groups: [{ table, op: 'upsert', keyCount: 1, columns: ['id', 'v'], rows }] }]);
        const shape = shapeOf(table, ['id', 'v']);
        const accepted = rows.filter((row) => shape.check(row) === undefined);
        const outside = values.filter(
          (value) =>
            jsonTextOrUndefined(value) === undefined || (typeof value === 'bigint' && (value >= 2n ** 63n || value < -(2n ** 63n))),
        );
        expect(rows.length - accepted.length).toBeLessThanOrEqual(outside.length);
        const transaction = await beginIn(sink, 0, []);
        await transaction.write([{ shape, rows: accepted }]);
        await transaction.commit(new Map(), []);
        const { type } = db.prepare("SELECT type FROM pragma_table_info(?) WHERE name = 'v'").get(table) as { type: string };
        for (const [id, value] of accepted) expect(means(stored(table, id as number), value as Value, type)).toBe(true);
        db.exec(`DROP TABLE ${table}`);
      }),
      { numRuns: 60 },
    );
  });

  test('names the types by what they hold', async () => {
    const row: Record<string, Value> = {
      id: 'k',
      int: 1,
      float: 1.5,
      text: 'x',
      flag: true,
      bytes: new Uint8Array(1),
      at: new Timestamp(0, 0),
      json: { a: 1 },
      nothing: null,
      huge: 2n ** 63n,
    };
    const second = { ...row, id: 'l', int: 2.5, text: 5 };
    await sink.evolve([
      {
        groups: [
          { table: 'evolved', op: 'upsert', keyCount: 1, columns: Object.keys(row), rows: [Object.values(row), Object.values(second)] },
        ],
      },
    ]);
    const columns = db.prepare("SELECT name, type, pk FROM pragma_table_info('evolved')").all() as {
      name: string;
      type: string;
      pk: number;
    }[];
    expect(Object.fromEntries(columns.map(({ name, type }) => [name, type]))).toEqual({
      id: 'TEXT',
      int: 'NUMERIC',
      float: 'REAL',
      text: '',
      flag: 'BOOLEAN',
      bytes: 'BLOB',
      at: 'TIMESTAMP TEXT',
      json: 'JSON TEXT',
      nothing: '',
      huge: 'TEXT',
    });
    expect(columns.filter(({ pk }) => pk > 0).map(({ name }) => name)).toEqual(['id']);
  });

  test('refuses a later value that the column cannot hold, and says how it is declared', async () => {
    await sink.evolve([{ groups: [{ table: 'later', op: 'upsert', keyCount: 1, columns: ['id', 'v'], rows: [[1, 5]] }] }]);
    const shape = shapeOf('later', ['id', 'v']);
    expect(shape.check([1, 'five'])).toMatchObject({ code: 'wrong_type', message: expect.stringContaining('later.v') });
    expect(shape.check([1, 'five'])?.message).toContain('INTEGER');
    expect(shape.check([1, 5.5])).toBeUndefined();
  });

  test('takes no names that would be trouble, and quotes the others', async () => {
    const before = sink.tables().map(({ name }) => name);
    const evil = 'x"; DROP TABLE v0; --';
    const odd = "we'ird `name` [1]; --";
    const groupOf = (table: string, column: string) => ({
      groups: [{ table, op: 'upsert' as const, keyCount: 1, columns: ['id', column], rows: [[1, 'v']] }],
    });
    await sink.evolve([
      groupOf(evil, 'v'),
      groupOf('sqlite_x', 'v'),
      groupOf('', 'v'),
      groupOf('a\nb', 'v'),
      groupOf('x'.repeat(65), 'v'),
      groupOf('V0', 'v'),
      groupOf('half', evil),
      groupOf(odd, odd),
    ]);
    expect(
      sink
        .tables()
        .map(({ name }) => name)
        .filter((name) => !before.includes(name)),
    ).toEqual([odd]);
    const shape = shapeOf(odd, ['id', odd]);
    const transaction = await beginIn(sink, 0, []);
    await transaction.write([{ shape, rows: [[1, 'v']] }]);
    await transaction.commit(new Map(), []);
    expect(sink.table('v0')).toBeDefined();
  });
});

/** Writes those of `values` that are not refused, and reads them back with integers as bigint. */
async function roundTrip(index: number, values: readonly Value[]): Promise<{ value: Value; stored: unknown }[]> {
  const shape = shapeOf(`v${index}`, ['id', 'v']);
  const rows = values.map((value, id) => [id, value] as const).filter((row) => shape.check(row) === undefined);
  const transaction = await beginIn(sink, 0, []);
  await transaction.write([{ shape, rows }]);
  await transaction.commit(new Map(), []);
  return rows.map(([id, value]) => ({ value, stored: stored(`v${index}`, id) }));
}

function stored(table: string, id: number): unknown {
  const statement = db.prepare(`SELECT v FROM ${table} WHERE id = ?`);
  statement.setReadBigInts(true);
  return (statement.get(id) as { v: unknown }).v;
}

function shapeOf(table: string, columns: readonly string[]): Shape {
  const shape = sink.table(table)?.shape('upsert', 1, columns);
  if (shape === undefined || isFault(shape)) throw new Error(`${table}: ${shape?.message ?? 'no such table'}`);
  return shape;
}

/** Whether what was stored says the same as what was sent. */
function means(found: unknown, value: Value, type: string): boolean {
  if (value === null) return found === null;
  if (typeof value === 'boolean') return Number(found) === Number(value);
  if (typeof value === 'bigint') return BigInt(found as bigint | number | string) === value;
  if (typeof value === 'number')
    return typeof found === 'string'
      ? found === String(value)
      : Number(found) === value && (typeof found === 'number' || BigInt(value) === found);
  if (typeof value === 'string') {
    if (typeof found === 'string') return found === value;
    // Text became a number: the same decimal, and in a column that does not say it holds numbers the same spelling.
    if (type === 'STRING' || type.startsWith('DATE') || type === 'JSON' || type === 'UUID') return String(found) === value;
    return decimal(value) === decimal(typeof found === 'bigint' ? String(found) : expanded(found as number, value));
  }
  if (value instanceof Uint8Array) return found instanceof Uint8Array && Buffer.compare(found, value) === 0;
  if (value instanceof Timestamp) {
    const text = found as string;
    const nanoseconds = Number((text.split('.')[1] as string).padEnd(9, '0'));
    return Date.parse(`${text.slice(0, 10)}T${text.slice(11, 19)}Z`) / 1000 === value.seconds && nanoseconds === value.nanoseconds;
  }
  return found === jsonText(value);
}

/** Without sign of zero and trailing zeros. */
function decimal(text: string): string {
  const short = text.includes('.') ? text.replace(/\.?0+$/, '') : text;
  return short === '-0' ? '0' : short;
}

/** A double with as many decimals as the text it came from; 15 significant digits survive. */
function expanded(number: number, text: string): string {
  const decimals = (text.split('.')[1] ?? '').length;
  return decimals <= 100 ? number.toFixed(decimals) : String(number);
}

function jsonTextOrUndefined(value: Value): string | undefined {
  try {
    return jsonText(value);
  } catch {
    return undefined;
  }
}

function anyTimestamp(): fc.Arbitrary<Timestamp> {
  return fc
    .tuple(fc.integer({ min: -70_000_000_000, max: 260_000_000_000 }), fc.integer({ min: 0, max: 999_999_999 }))
    .map(([seconds, nanoseconds]) => new Timestamp(seconds, nanoseconds));
}

function anyText(): fc.Arbitrary<string> {
  const numeric = fc
    .tuple(
      fc.constantFrom('', '-', '+', ' ', '0', '00'),
      fc.bigInt({ min: 0n, max: 10n ** 20n }),
      fc.constantFrom('', '.', '.0', '.5', '.50', '.000000000001', 'e5', ' ', '\0', '\0x', 'x'),
    )
    .map((parts) => parts.join(''));
  const short = fc
    .tuple(fc.constantFrom('', '-'), fc.integer({ min: 0, max: 999 }), fc.constantFrom('', '.25', '.10'))
    .map((parts) => parts.join(''));
  return fc.oneof(
    fc.string({ unit: 'grapheme' }),
    fc.string(),
    numeric,
    short,
    fc.constantFrom('', '-0', '0.0', '2026-11-21', '1e999', 'NaN', 'Infinity', '0x1F', '9007199254740993', '9223372036854775808'),
  );
}

function anyNumber(): fc.Arbitrary<number> {
  return fc.oneof(
    fc.integer(),
    fc.maxSafeInteger(),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.constantFrom(2 ** 53, 2 ** 60, 2 ** 63, -(2 ** 63), 1e21, -0),
  );
}

function anyScalar(): fc.Arbitrary<Value> {
  const wide = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n });
  return fc.oneof(fc.constant(null), fc.boolean(), anyNumber(), wide, anyText(), fc.uint8Array({ maxLength: 8 }), anyTimestamp());
}

function anyValue(): fc.Arbitrary<Value> {
  const nested = fc.oneof(fc.array(anyScalar(), { maxLength: 3 }), fc.dictionary(fc.string({ maxLength: 5 }), anyScalar(), { maxKeys: 3 }));
  return fc.oneof({ weight: 6, arbitrary: anyScalar() }, { weight: 1, arbitrary: nested });
}

/** Two keys that are often the same number in two spellings. */
function keyPair(): fc.Arbitrary<[Value, Value]> {
  const spellings = fc.integer({ min: -3, max: 12 }).chain((n) => {
    const ways: Value[] = [n, BigInt(n), String(n), `${n}.0`, `0${n}`, `${n}.5`, Buffer.from(String(n)), new Timestamp(n, 0), n === 1];
    return fc.tuple(fc.constantFrom(...ways), fc.constantFrom(...ways));
  });
  return fc.oneof(spellings, fc.tuple(anyScalar(), anyScalar()));
}
