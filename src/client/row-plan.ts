// Hot path: every row that a program writes passes here; no promise, spread or closure per row.
import { type Op, type Row, Timestamp, type Value } from '../core/change.ts';
import { type PartitionBy, partitionOf } from '../core/partition.ts';
import { MAX_NAME_BYTES } from '../protocol/limits.ts';

/** A row as programs hand it over: column names to values; see `docs/client.md` for what may be in it. */
export type InputRow = { readonly [column: string]: unknown };

/** A change that is ready to go into a batch. */
export interface PreparedChange {
  readonly table: string;
  readonly op: Op;
  readonly keyCount: number;
  readonly columns: readonly string[];
  readonly values: Row;
  readonly partition: number;
  /** It takes at most this many bytes in a batch. */
  readonly byteBound: number;
}

/** The columns of rows that look alike; rows with the same `source` share one, and so a group of their batch. */
interface Shape {
  /** The row's own keys, in its order. */
  readonly source: readonly string[];
  /** The key first, in its order, then the others in the order in which this table first saw them. */
  readonly columns: readonly string[];
  /** What names and headers take at most. */
  readonly headerBytes: number;
}

/** Shapes kept per table and operation kind; a program that makes up columns for ever does not fill the memory. */
const MAX_SHAPES = 1000;
/** Nor does one whose rows have thousands of columns: such shapes are made anew. */
const MAX_SIGNATURE_CHARACTERS = 4_096;
const MAX_COLUMNS_SEEN = 8_192;

/** Turns rows of one table into changes: columns in a stable order, values that can be sent, and the partition. */
export class RowPlan {
  readonly #table: string;
  readonly #key: readonly string[];
  readonly #partitionBy: PartitionBy | undefined;
  readonly #partitionCount: number;
  /** The order in which columns were seen: the key's first, then others of as many shapes as are kept. */
  readonly #rank = new Map<string, number>();
  #full = new Map<string, Shape>();
  #lastFull: Shape | undefined;
  readonly #keyShape: Shape;
  #byteBound = 0;

  constructor(table: string, key: readonly string[], partitionBy: PartitionBy | undefined, partitionCount: number) {
    this.#table = table;
    this.#key = key;
    this.#partitionBy = partitionBy;
    this.#partitionCount = partitionCount;
    this.#forgetShapes();
    this.#keyShape = this.#shape(key);
  }

  /** @throws {TypeError} that names table and column, for a row that cannot be sent. */
  prepare(op: Op, row: InputRow): PreparedChange {
    const shape = op === 'delete' ? this.#keyShape : this.#shapeOf(row);
    const { columns } = shape;
    const keyCount = this.#key.length;
    if (op === 'update' && columns.length === keyCount) {
      throw new TypeError(`update of table "${this.#table}" names no column besides its key (${this.#key.join(', ')})`);
    }
    this.#byteBound = shape.headerBytes;
    const values: Value[] = new Array<Value>(columns.length);
    for (let i = 0; i < columns.length; i++) {
      const column = columns[i]!;
      const value = row[column];
      if (i < keyCount && value === undefined) throw this.#missing(column, 'the key');
      values[i] = this.#value(value, column);
    }
    const partition = this.#partition(row, values);
    return { table: this.#table, op, keyCount, columns, values, partition, byteBound: this.#byteBound };
  }

  #partition(row: InputRow, values: readonly Value[]): number {
    const by = this.#partitionBy;
    const hashed = by === undefined ? values.slice(0, this.#key.length) : this.#columnsOf(row, by.columns);
    try {
      return partitionOf(by?.group ?? this.#table, hashed, this.#partitionCount);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      throw this.#unhashable(by?.columns ?? this.#key, hashed, error);
    }
  }

  #columnsOf(row: InputRow, columns: readonly string[]): Value[] {
    const values: Value[] = [];
    for (const column of columns) {
      const value = row[column];
      if (value === undefined) throw this.#missing(column, 'partitionBy');
      values.push(this.#value(value, column));
    }
    return values;
  }

  #shapeOf(row: InputRow): Shape {
    const source = Object.keys(row);
    const last = this.#lastFull;
    if (last !== undefined && sameNames(last.source, source)) return last;
    // Names are joined with a character that no sane column name has, and their count guards against the insane.
    const signature = `${source.length}\u0000${source.join('\u0000')}`;
    let shape = this.#full.get(signature);
    if (shape === undefined || !sameNames(shape.source, source)) {
      if (this.#full.size >= MAX_SHAPES || this.#rank.size > MAX_COLUMNS_SEEN) this.#forgetShapes();
      shape = this.#shape(source);
      if (signature.length <= MAX_SIGNATURE_CHARACTERS) this.#full.set(signature, shape);
    }
    this.#lastFull = shape;
    return shape;
  }

  #forgetShapes(): void {
    this.#full = new Map();
    this.#rank.clear();
    for (const column of this.#key) this.#rank.set(column, this.#rank.size);
  }

  /** @throws {TypeError} for a name that no column has. */
  #shape(source: readonly string[]): Shape {
    const others: string[] = [];
    for (const column of source) {
      if (column.length > MAX_NAME_BYTES)
        throw new TypeError(
          `a row of table "${this.#table}" has a column "${column.slice(0, 100)}…" with a name of more than ${MAX_NAME_BYTES} bytes`,
        );
      if (!this.#rank.has(column)) this.#rank.set(column, this.#rank.size);
      if (!this.#key.includes(column)) others.push(column);
    }
    others.sort((a, b) => this.#rank.get(a)! - this.#rank.get(b)!);
    const columns = [...this.#key, ...others];
    let headerBytes = ROW_HEADER_BYTES + stringBound(this.#table);
    for (const column of columns) headerBytes += stringBound(column);
    // The same set of columns in another order is the same list, so that such rows share a group.
    const known = [...this.#full.values()].find((shape) => sameNames(shape.columns, columns));
    return { source, columns: known?.columns ?? columns, headerBytes };
  }

  /** What can be sent for `value`; adds what it takes at most to the bound. Other values are refused by the writer. */
  #value(value: unknown, column: string): Value {
    if (typeof value === 'string') {
      this.#byteBound += stringBound(value);
      return value;
    }
    this.#byteBound += SCALAR_BOUND;
    if (typeof value !== 'object' || value === null) return value as Value;
    if (value instanceof Uint8Array) {
      this.#byteBound += value.length;
      return value;
    }
    if (value instanceof Timestamp) return value;
    try {
      if (value instanceof Date) return timestamp(value);
      return this.#json(value, '', 0);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      throw new TypeError(`column "${column}" of table "${this.#table}": ${error.message}`, { cause: error });
    }
  }

  /** A copy of an array or object as JSON would write it, but for integers, which keep their digits. */
  #json(value: unknown, path: string, depth: number): Value {
    this.#byteBound += SCALAR_BOUND;
    if (value === null || typeof value === 'boolean' || typeof value === 'bigint') return value;
    if (typeof value === 'string') {
      this.#byteBound += stringBound(value);
      return value;
    }
    const where = path === '' ? '' : ` at ${path}`;
    if (typeof value === 'number') {
      if (!Number.isFinite(value)) throw new TypeError(`${value}${where} cannot be sent; use null for no value`);
      return value;
    }
    if (typeof value !== 'object') throw new TypeError(`${typeof value}${where} cannot be sent; use null for no value`);
    if (depth > MAX_JSON_DEPTH) throw new TypeError(`arrays and objects nest too deep${where}`);
    if (hasToJson(value)) return this.#json(value.toJSON(), path, depth + 1);
    if (ArrayBuffer.isView(value))
      throw new TypeError(`bytes${where} cannot be part of a JSON value; give them a column of their own, or encode them as text`);
    if (Array.isArray(value)) return value.map((item, index) => this.#json(item, `${path}[${index}]`, depth + 1));
    const prototype: unknown = Object.getPrototypeOf(value);
    if (prototype !== null && prototype !== Object.prototype) {
      throw new TypeError(`a ${value.constructor?.name ?? 'class instance'}${where} cannot be sent; use plain values, arrays and objects`);
    }
    const copy: { [key: string]: Value } = Object.create(null) as { [key: string]: Value };
    for (const [key, item] of Object.entries(value)) {
      this.#byteBound += stringBound(key);
      copy[key] = this.#json(item, path === '' ? key : `${path}.${key}`, depth + 1);
    }
    return copy;
  }

  #missing(column: string, role: string): TypeError {
    return new TypeError(`row of table "${this.#table}" has no column "${column}", which is part of ${role}`);
  }

  #unhashable(columns: readonly string[], values: readonly Value[], cause: TypeError): TypeError {
    for (let i = 0; i < columns.length; i++) {
      try {
        partitionOf('', [values[i]!], 1);
      } catch (error) {
        if (error instanceof TypeError) return new TypeError(`column "${columns[i]}" of table "${this.#table}": ${error.message}`);
      }
    }
    return cause;
  }
}

/** Group and row headers, generously. */
const ROW_HEADER_BYTES = 64;
const SCALAR_BOUND = 16;
/** Deeper than a batch allows; ends cycles. The writer refuses the rest. */
const MAX_JSON_DEPTH = 32;

function stringBound(value: string): number {
  return 5 + 3 * value.length;
}

function hasToJson(value: object): value is { toJSON(): unknown } {
  return 'toJSON' in value && typeof value.toJSON === 'function';
}

function timestamp(date: Date): Timestamp {
  if (Number.isNaN(date.getTime())) throw new TypeError('an invalid date cannot be sent');
  return Timestamp.fromDate(date);
}

function sameNames(a: readonly string[], b: readonly string[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
