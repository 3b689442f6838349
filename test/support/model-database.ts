import type { Op, Row, Value } from '../../src/core/change.ts';
import type { ChangeFault, ErrorCode } from '../../src/core/errors.ts';
import { isFault, type Shape, type Table } from '../../src/sinks/sink.ts';

/**
 * A database as plain as can be: tables of rows, and one function that applies one change or says why not.
 * What faster code does is held against it.
 */
export interface ModelSchema {
  readonly name: string;
  /** Names of the key columns; the other columns follow. */
  readonly key: readonly string[];
  readonly columns: readonly ModelColumn[];
  /** A column whose values, null aside, are unique. */
  readonly unique?: string;
  /** A column whose values, null aside, are keys of another table. */
  readonly reference?: { readonly column: string; readonly table: string; readonly onDelete: 'restrict' | 'cascade' };
  /** What the table says of itself; a lie where the schema has more than a key. */
  readonly independent: boolean;
  /** Whether key strings that differ in case only are the same key. */
  readonly ignoresCase: boolean;
}

export interface ModelColumn {
  readonly name: string;
  /** Undefined: the column must be given. */
  readonly fallback: Value | undefined;
}

/** The most characters that the values of one change may have together. */
const MAX_WEIGHT = 12;

export class ModelTable implements Table {
  readonly schema: ModelSchema;
  readonly name: string;
  readonly key: readonly string[];
  readonly columns: readonly string[];
  readonly independent: boolean;
  readonly #shapes = new Map<string, Shape>();

  constructor(schema: ModelSchema) {
    this.schema = schema;
    this.name = schema.name;
    this.key = schema.key;
    this.columns = [...schema.key, ...schema.columns.map(({ name }) => name)];
    this.independent = schema.independent;
  }

  shape(op: Op, keyCount: number, columns: readonly string[]): Shape {
    const id = `${op} ${columns.join()}`;
    const cached = this.#shapes.get(id);
    if (cached !== undefined) return cached;
    const shape: Shape = {
      table: this,
      op,
      keyCount,
      columns,
      suffices: this.schema.columns.every(({ name, fallback }) => fallback !== undefined || columns.includes(name)),
      check: (row) => (weightOf(row) > MAX_WEIGHT ? fault('row_too_large') : undefined),
      keyOf: (row) => this.keyText(row.slice(0, keyCount)),
    };
    this.#shapes.set(id, shape);
    return shape;
  }

  keyText(values: readonly Value[]): string {
    const text = values.map((value) => `${typeof value}:${String(value)}`).join();
    return this.schema.ignoresCase ? text.toLowerCase() : text;
  }
}

/** Rows by table and key; a row lists the values of `table.columns` and is never changed, only replaced. */
export class ModelDatabase {
  readonly #tables: ReadonlyMap<string, ModelTable>;
  readonly #rows: Map<string, Map<string, Row>>;

  constructor(tables: readonly ModelTable[], rows?: Map<string, Map<string, Row>>) {
    this.#tables = new Map(tables.map((table) => [table.name, table]));
    this.#rows = rows ?? new Map(tables.map((table) => [table.name, new Map()]));
  }

  copy(): ModelDatabase {
    return new ModelDatabase([...this.#tables.values()], new Map([...this.#rows].map(([name, rows]) => [name, new Map(rows)])));
  }

  /** Everything in it, independent of the order in which it came. */
  dump(): string {
    return JSON.stringify([...this.#rows].map(([name, rows]) => [name, [...rows.values()].map((row) => JSON.stringify(row)).sort()]));
  }

  row(table: ModelTable, keyValues: readonly Value[]): Row | undefined {
    return this.#rowsOf(table.name).get(table.keyText(keyValues));
  }

  /** Applies one change wholly, or says why not and has changed nothing: what a savepoint around it gives. */
  apply(shape: Shape, row: Row): ChangeFault | undefined {
    const table = this.#tables.get(shape.table.name) as ModelTable;
    if (weightOf(row) > MAX_WEIGHT) return fault('row_too_large');
    const keyValues = table.key.map((column) => row[shape.columns.indexOf(column)] as Value);
    const existing = this.row(table, keyValues);
    if (shape.op === 'delete') return existing && this.#delete(table, existing);
    if (shape.op === 'insert' && existing !== undefined) return fault('duplicate_key');
    if (shape.op === 'update' && existing === undefined) return fault('row_missing');
    if (existing === undefined && !shape.suffices) return fault('null_not_allowed');
    const written: Value[] = table.key.map((_, i) => (existing?.[i] ?? keyValues[i]) as Value);
    for (const [i, { name, fallback }] of table.schema.columns.entries()) {
      const given = shape.columns.indexOf(name);
      written.push((given >= 0 ? row[given] : existing !== undefined ? existing[table.key.length + i] : fallback) as Value);
    }
    return this.#refusal(table, written) ?? this.#put(table, written);
  }

  #put(table: ModelTable, written: Row): undefined {
    this.#rowsOf(table.name).set(keyTextOf(table, written), written);
  }

  #refusal(table: ModelTable, written: Row): ChangeFault | undefined {
    const { unique, reference } = table.schema;
    const value = unique === undefined ? null : (written[table.columns.indexOf(unique)] as Value);
    if (unique !== undefined && value !== null) {
      const at = table.columns.indexOf(unique);
      for (const other of this.#rowsOf(table.name).values()) {
        if (other[at] === value && keyTextOf(table, other) !== keyTextOf(table, written)) return fault('duplicate_unique');
      }
    }
    if (reference === undefined) return undefined;
    const parentKey = written[table.columns.indexOf(reference.column)] as Value;
    const parent = this.#tables.get(reference.table) as ModelTable;
    return parentKey === null || this.row(parent, [parentKey]) ? undefined : fault('foreign_key');
  }

  #delete(table: ModelTable, existing: Row): ChangeFault | undefined {
    const children: [ModelTable, Row][] = [];
    for (const child of this.#tables.values()) {
      const { reference } = child.schema;
      if (reference?.table !== table.name) continue;
      const at = child.columns.indexOf(reference.column);
      for (const row of this.#rowsOf(child.name).values()) {
        if (row[at] !== existing[0]) continue;
        if (reference.onDelete === 'restrict') return fault('foreign_key');
        children.push([child, row]);
      }
    }
    for (const [child, row] of children) this.#rowsOf(child.name).delete(keyTextOf(child, row));
    this.#rowsOf(table.name).delete(keyTextOf(table, existing));
    return undefined;
  }

  #rowsOf(name: string): Map<string, Row> {
    return this.#rows.get(name) as Map<string, Row>;
  }
}

/** The shape, where the model has no reason to refuse one. */
export function shapeOf(table: Table, op: Op, keyCount: number, columns: readonly string[]): Shape {
  const shape = table.shape(op, keyCount, columns);
  if (isFault(shape)) throw new Error(shape.message);
  return shape;
}

function keyTextOf(table: ModelTable, row: Row): string {
  return table.keyText(row.slice(0, table.key.length));
}

function weightOf(row: Row): number {
  let weight = 0;
  for (const value of row) weight += String(value).length;
  return weight;
}

function fault(code: ErrorCode): ChangeFault {
  return { code, message: code };
}
