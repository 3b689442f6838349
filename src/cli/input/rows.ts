import { TextDecoder } from 'node:util';
import { OPS, type Op, type Value } from '../../core/change.ts';
import { CsvParser, type CsvRecord } from './csv.ts';
import { parseExact } from '../../core/exact-json.ts';
import { JsonArraySplitter, type TextRecord } from './json-array.ts';
import { UnreadableInputError } from './limits.ts';
import { LineSplitter } from './lines.ts';

/** How rows are read from a file. */
export interface InputFormat {
  readonly format: 'ndjson' | 'json' | 'csv';
  /** The table of every row; without it every object names its own: `{table, op?, key?, row}`. CSV needs it. */
  readonly table: string | undefined;
  /** The operation where the object names none. */
  readonly op: Op;
  readonly delimiter: string;
  /** For CSV: what to make of the text of a column. */
  readonly types: ReadonlyMap<string, ColumnType>;
}

export const COLUMN_TYPES = ['text', 'int', 'float', 'bool', 'json'] as const;
export type ColumnType = (typeof COLUMN_TYPES)[number];

/** A row to send, or why there is none in these lines. */
export type InputRow =
  | {
      readonly line: number;
      readonly table: string;
      readonly op: Op;
      readonly key: readonly string[] | undefined;
      readonly row: Readonly<Record<string, Value>>;
    }
  | { readonly line: number; readonly fault: string };

/**
 * Reads rows from bytes in UTF-8, a piece at a time; memory is bound by the longest record.
 * @throws {UnreadableInputError} when nothing more can be read
 */
export async function* readRows(bytes: AsyncIterable<Uint8Array>, format: InputFormat): AsyncGenerator<InputRow[]> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  const reader = format.format === 'csv' ? csvReader(format) : jsonReader(format);
  for await (const chunk of bytes) yield reader.push(decode(decoder, chunk));
  yield reader.push(decode(decoder, undefined));
  yield reader.end();
}

interface RowReader {
  push(text: string): InputRow[];
  end(): InputRow[];
}

function decode(decoder: TextDecoder, chunk: Uint8Array | undefined): string {
  try {
    return chunk === undefined ? decoder.decode() : decoder.decode(chunk, { stream: true });
  } catch (error) {
    throw new Error('the input is not UTF-8; convert it first, for example with: iconv -f latin1 -t utf-8', { cause: error });
  }
}

function jsonReader(format: InputFormat): RowReader {
  const splitter = format.format === 'json' ? new JsonArraySplitter() : new LineSplitter();
  const toRows = (records: TextRecord[]) => records.map((record) => jsonRow(record, format));
  return { push: (text) => toRows(splitter.push(text)), end: () => toRows(splitter.end()) };
}

function jsonRow({ line, text }: TextRecord, format: InputFormat): InputRow {
  let value: Value;
  try {
    value = parseExact(text);
  } catch {
    // The parser's message repeats what it read.
    return { line, fault: 'is not valid JSON' };
  }
  if (!isObject(value)) return { line, fault: 'is not a JSON object' };
  if (format.table !== undefined) return { line, table: format.table, op: format.op, key: undefined, row: value };
  return envelopeRow(line, value, format);
}

function envelopeRow(line: number, envelope: Readonly<Record<string, Value>>, format: InputFormat): InputRow {
  const { table, op = format.op, key, row, ...others } = envelope;
  const [other] = Object.keys(others);
  if (typeof table !== 'string' || table === '')
    return { line, fault: 'names no table; give --table, or objects such as {"table": "t", "row": {…}}' };
  if (other !== undefined) return { line, fault: `has ${JSON.stringify(other)} beside table, op, key and row` };
  if (!isObject(row)) return { line, fault: 'has no row, which must be an object' };
  if (!OPS.includes(op as Op)) return { line, fault: `has an op that is none of ${OPS.join(', ')}` };
  if (key !== undefined && !(Array.isArray(key) && key.every((column) => typeof column === 'string')))
    return { line, fault: 'has a key that is no list of column names' };
  return { line, table, op: op as Op, key: key as readonly string[] | undefined, row };
}

function isObject(value: Value | undefined): value is { readonly [key: string]: Value } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function csvReader(format: InputFormat): RowReader {
  const parser = new CsvParser(format.delimiter);
  let columns: readonly string[] | undefined;
  const toRows = (records: readonly CsvRecord[]): InputRow[] => {
    const rows: InputRow[] = [];
    for (const record of records) {
      if (columns === undefined) columns = headerOf(record, format);
      else rows.push(csvRow(record, columns, format));
    }
    return rows;
  };
  return { push: (text) => toRows(parser.push(text)), end: () => toRows(parser.end()) };
}

function headerOf({ line, fields }: CsvRecord, format: InputFormat): readonly string[] {
  const columns = fields.map((field) => field ?? '');
  if (columns.includes('')) throw new UnreadableInputError(line, 'the header has a column without a name');
  const repeated = columns.find((column, i) => columns.indexOf(column) !== i);
  if (repeated !== undefined) throw new UnreadableInputError(line, `the header names ${repeated} twice`);
  const unknown = [...format.types.keys()].find((column) => !columns.includes(column));
  if (unknown !== undefined) throw new UnreadableInputError(line, `the header has no column ${unknown}, which --types names`);
  return columns;
}

function csvRow({ line, fields }: CsvRecord, columns: readonly string[], format: InputFormat): InputRow {
  if (fields.length !== columns.length) return { line, fault: `has ${fields.length} fields where the header has ${columns.length}` };
  const row: Record<string, Value> = {};
  for (let i = 0; i < columns.length; i++) {
    const column = columns[i] as string;
    const written = fields[i] as string | null;
    const type = format.types.get(column) ?? 'text';
    const value = written === null ? null : typedValue(written, type);
    if (value === undefined) return { line, fault: `has something else than ${type === 'int' ? 'an' : 'a'} ${type} in column ${column}` };
    row[column] = value;
  }
  return { line, table: format.table as string, op: format.op, key: undefined, row };
}

/** The value of a field; undefined when it is not of that type. */
function typedValue(written: string, type: ColumnType): Value | undefined {
  switch (type) {
    case 'text':
      return written;
    case 'int': {
      if (!/^[+-]?\d{1,20}$/.test(written)) return undefined;
      const value = BigInt(written.replace('+', ''));
      return value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;
    }
    case 'float':
      return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(written) ? Number(written) : undefined;
    case 'bool':
      if (/^(true|t|yes|y|1)$/i.test(written)) return true;
      return /^(false|f|no|n|0)$/i.test(written) ? false : undefined;
    case 'json':
      try {
        return parseExact(written);
      } catch {
        return undefined;
      }
  }
}

/** What `--types` says. @throws {Error} with a reason for people */
export function parseTypes(written: string): Map<string, ColumnType> {
  const types = new Map<string, ColumnType>();
  for (const part of written.split(',')) {
    const at = part.lastIndexOf(':');
    const type = COLUMN_TYPES.find((one) => one === part.slice(at + 1));
    if (at < 1 || type === undefined)
      throw new Error(`--types is a list such as id:int,price:float with ${COLUMN_TYPES.join(', ')}; ${part} is none of it`);
    types.set(part.slice(0, at), type);
  }
  return types;
}
