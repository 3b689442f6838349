import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CsvParser } from './csv.ts';
import { parseExact } from '../../core/exact-json.ts';
import { JsonArraySplitter } from './json-array.ts';
import { LineSplitter } from './lines.ts';
import { parseTypes, readRows, type InputFormat, type InputRow } from './rows.ts';

/** Feeds text to a splitter in pieces of `size` characters. */
function feed<T>(splitter: { push(text: string): T[]; end(): T[] }, text: string, size = text.length): T[] {
  const records: T[] = [];
  for (let i = 0; i < text.length; i += size) records.push(...splitter.push(text.slice(i, i + size)));
  return [...records, ...splitter.end()];
}

async function rowsOf(text: string | Uint8Array, options: Partial<InputFormat>): Promise<InputRow[]> {
  const bytes = async function* () {
    yield await Promise.resolve(typeof text === 'string' ? Buffer.from(text) : text);
  };
  const rows: InputRow[] = [];
  const format: InputFormat = { format: 'ndjson', table: undefined, op: 'upsert', delimiter: ',', types: new Map(), ...options };
  for await (const some of readRows(bytes(), format)) rows.push(...some);
  return rows;
}

describe('CSV', () => {
  test.each([
    [
      'plain fields',
      'a,b\n1,2\n',
      [
        ['a', 'b'],
        ['1', '2'],
      ],
    ],
    [
      'CRLF, and no line break at the end',
      'a,b\r\n1,2',
      [
        ['a', 'b'],
        ['1', '2'],
      ],
    ],
    [
      'CR alone',
      'a,b\r1,2\r',
      [
        ['a', 'b'],
        ['1', '2'],
      ],
    ],
    ['delimiters, line breaks and quotes in quotes', '"a,b","c\r\nd","e""f"\n', [['a,b', 'c\r\nd', 'e"f']]],
    ['a field of one quote', '""""\n', [['"']]],
    ['nothing is null, and empty in quotes is empty', ',"",x\n', [[null, '', 'x']]],
    ['a trailing delimiter', 'a,\n', [['a', null]]],
    ['empty lines', '\n\na\n\n', [['a']]],
    ['an empty field in quotes alone', '""\n', [['']]],
    ['a quote inside a field', '5" pipe,x\n', [['5" pipe', 'x']]],
    ['text after a closing quote', '"a"b,c\n', [['ab', 'c']]],
    ['nothing at all', '', []],
  ])('reads %s', (_name, text, expected) => {
    for (const size of [1, 2, 3, 100]) expect(feed(new CsvParser(), text, size).map(({ fields }) => fields)).toEqual(expected);
  });

  test('what is written by the rules comes back, however it is cut', () => {
    const field = fc.oneof(fc.constant(null), fc.string(), fc.constantFrom('', 'a"b', 'x,y', 'l\n', '\r\n', '"'));
    const records = fc.array(fc.array(field, { minLength: 2, maxLength: 4 }), { maxLength: 6 });
    const quote = (value: string | null) => (value === null ? '' : `"${value.replaceAll('"', '""')}"`);
    fc.assert(
      fc.property(records, fc.integer({ min: 1, max: 7 }), (rows, size) => {
        const text = rows.map((row) => `${row.map(quote).join(',')}\r\n`).join('');
        expect(feed(new CsvParser(), text, size).map(({ fields }) => fields)).toEqual(rows);
      }),
      { numRuns: 300 },
    );
  });

  test('lines are counted through quoted line breaks', () => {
    expect(feed(new CsvParser(), 'a\n"b\nc"\nd\n').map(({ line }) => line)).toEqual([1, 2, 4]);
  });

  test('another delimiter may be chosen', () => {
    expect(feed(new CsvParser(';'), 'a;b,c\n').map(({ fields }) => fields)).toEqual([['a', 'b,c']]);
  });

  test('a quote that is never closed is an error with the line where it opens', () => {
    expect(() => feed(new CsvParser(), 'a\n"b\nc\n')).toThrow('line 2: the quote that opens here is never closed');
  });
});

describe('rows of CSV', () => {
  test('have the columns of the header, as text', async () => {
    expect(await rowsOf('\uFEFFid,name\n1,Zürich\n2,\n', { format: 'csv', table: 'city' })).toEqual([
      { line: 2, table: 'city', op: 'upsert', key: undefined, row: { id: '1', name: 'Zürich' } },
      { line: 3, table: 'city', op: 'upsert', key: undefined, row: { id: '2', name: null } },
    ]);
  });

  test('have other types where --types says so', async () => {
    const types = parseTypes('i:int,f:float,b:bool,j:json');
    const [row] = await rowsOf('i,f,b,j,t\n9007199254740993,1.5e3,yes,"{""a"":[1]}",7\n', { format: 'csv', table: 't', types });
    expect(row).toMatchObject({ row: { i: 9007199254740993n, f: 1500, b: true, j: { a: [1] }, t: '7' } });
  });

  test('that do not fit are faults of their line, and the others go on', async () => {
    const rows = await rowsOf('id,n\n1\nx,2\n3,4\n', { format: 'csv', table: 't', types: parseTypes('id:int') });
    expect(rows).toEqual([
      { line: 2, fault: 'has 1 fields where the header has 2' },
      { line: 3, fault: 'has something else than an int in column id' },
      expect.objectContaining({ line: 4, row: { id: 3, n: '4' } }),
    ]);
  });

  test('need a header that makes sense', async () => {
    await expect(rowsOf('a,a\n', { format: 'csv', table: 't' })).rejects.toThrow('line 1: the header names a twice');
    await expect(rowsOf('a,\n', { format: 'csv', table: 't' })).rejects.toThrow('a column without a name');
    await expect(rowsOf('a\n', { format: 'csv', table: 't', types: parseTypes('b:int') })).rejects.toThrow('no column b');
  });

  test('in another encoding are refused with what to do', async () => {
    await expect(rowsOf(Buffer.from('id\nZ\xfcrich\n', 'latin1'), { format: 'csv', table: 't' })).rejects.toThrow(
      'not UTF-8; convert it first',
    );
  });
});

describe('NDJSON', () => {
  test('is cut at line breaks, wherever the pieces end', () => {
    for (const size of [1, 3, 100]) {
      expect(feed(new LineSplitter(), '{"a":1}\r\n\n {"b":2}', size).map(({ line, text }) => [line, text.trim()])).toEqual([
        [1, '{"a":1}'],
        [3, '{"b":2}'],
      ]);
    }
  });

  test('with a table every line is a row', async () => {
    expect(await rowsOf('{"id":1,"table":"x"}\n', { table: 't', op: 'insert' })).toEqual([
      { line: 1, table: 't', op: 'insert', key: undefined, row: { id: 1, table: 'x' } },
    ]);
  });

  test('without a table every line names its own', async () => {
    const text = [
      '{"table":"t","op":"delete","key":["id"],"row":{"id":1}}',
      '{"id":1}',
      '{"table":"t","op":"merge","row":{}}',
      '{"table":"t","row":[]}',
      '{"table":"t","row":{},"x":1}',
      '{"table":"t","key":"id","row":{}}',
    ];
    expect(await rowsOf(text.join('\n'), {})).toEqual([
      { line: 1, table: 't', op: 'delete', key: ['id'], row: { id: 1 } },
      { line: 2, fault: expect.stringContaining('names no table') },
      { line: 3, fault: expect.stringContaining('an op that is none of upsert, insert, update, delete') },
      { line: 4, fault: expect.stringContaining('has no row') },
      { line: 5, fault: 'has "x" beside table, op, key and row' },
      { line: 6, fault: 'has a key that is no list of column names' },
    ]);
  });

  test('with a line that is no JSON goes on after it, and shows nothing of it', async () => {
    expect(await rowsOf('{"secret\n[1]\n{"id":2}\n', { table: 't' })).toEqual([
      { line: 1, fault: 'is not valid JSON' },
      { line: 2, fault: 'is not a JSON object' },
      expect.objectContaining({ line: 3 }),
    ]);
  });
});

describe('a JSON array', () => {
  test('is cut into its elements, however it comes', () => {
    fc.assert(
      fc.property(
        fc.array(fc.jsonValue({ maxDepth: 3 })),
        fc.integer({ min: 1, max: 9 }),
        fc.constantFrom(0, 2),
        (values, size, indent) => {
          const records = feed(new JsonArraySplitter(), `\n${JSON.stringify(values, null, indent)}\n`, size);
          expect(records.map(({ text }) => JSON.parse(text) as unknown)).toEqual(JSON.parse(JSON.stringify(values)));
        },
      ),
      { numRuns: 300 },
    );
  });

  test('of one object needs no brackets', () => {
    expect(feed(new JsonArraySplitter(), ' {"a":{"b":"}"}} ', 2)).toEqual([{ line: 1, text: '{"a":{"b":"}"}}' }]);
  });

  test('knows the lines of its elements', () => {
    expect(feed(new JsonArraySplitter(), '[\n{"a":1},\n{\n"b":2},\n{"c":3}]').map(({ line }) => line)).toEqual([2, 3, 5]);
  });

  test.each([
    ['x', 'must be an array of objects'],
    ['[{"a":1}', 'ends before its array does'],
    ['[]{"a":1}', 'something follows the JSON array'],
    ['{"a":1}\n{"b":1}', 'line 2: something follows the JSON array; for one object per line use --format ndjson'],
  ])('%o is refused', (text, message) => {
    expect(() => feed(new JsonArraySplitter(), text)).toThrow(message);
  });
});

describe('numbers in JSON', () => {
  test.each([
    ['1', 1],
    ['-9007199254740993', -9007199254740993n],
    ['18446744073709551615', 18446744073709551615n],
    ['18446744073709551616', '18446744073709551616'],
    ['0.1', 0.1],
    ['0.30000000000000004', 0.30000000000000004],
    ['1234567890123.4567890', '1234567890123.4567890'],
    ['0.0000000000000000001', 1e-19],
    ['1e3', 1000],
  ])('%s is %o', (source, value) => {
    expect(parseExact(`{"n":${source}}`)).toEqual({ n: value });
  });
});
