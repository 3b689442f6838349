import { isoNanoseconds } from '../core/partition.ts';
import { Timestamp, type Op, type Row, type Value } from '../core/change.ts';
import type { ChangeFault, ErrorCode } from '../core/errors.ts';
import { judgeShape } from './shape-rules.ts';
import type { Shape, Table } from './sink.ts';

/** A table of the memory sink. */
export interface MemoryTableDefinition {
  readonly name: string;
  /** Empty: none, and the table takes no changes. */
  readonly key: readonly string[];
  /** Every column, those of the key too. */
  readonly columns: { readonly [name: string]: MemoryColumn };
  /** Further unique indexes; null is not compared. */
  readonly unique?: readonly (readonly string[])[];
  /** Foreign keys, to the keys of other tables; null refers to nothing. */
  readonly references?: readonly { readonly columns: readonly string[]; readonly table: string }[];
  /** Whether a row is allowed. */
  readonly check?: (row: MemoryRow) => boolean;
}

export interface MemoryColumn {
  /** Undefined: takes anything. */
  readonly type?: 'int' | 'text' | 'bytes';
  readonly notNull?: boolean;
  readonly default?: Value;
}

export type MemoryRow = Readonly<Record<string, Value>>;

export class MemoryTable implements Table {
  readonly definition: MemoryTableDefinition;
  readonly name: string;
  readonly key: readonly string[];
  readonly columns: readonly string[];
  readonly independent: boolean;
  readonly #shapes = new Map<string, MemoryShape>();

  /** `referenced`: other tables have foreign keys to this one. */
  constructor(definition: MemoryTableDefinition, referenced: boolean) {
    this.definition = definition;
    this.name = definition.name;
    this.key = definition.key;
    this.columns = Object.keys(definition.columns);
    this.independent =
      !referenced && definition.unique === undefined && definition.references === undefined && definition.check === undefined;
  }

  shape(op: Op, keyCount: number, columns: readonly string[]): MemoryShape | ChangeFault {
    const id = `${op} ${keyCount} ${JSON.stringify(columns)}`;
    const known = this.#shapes.get(id);
    if (known !== undefined) return known;
    const rules = Object.entries(this.definition.columns).map(
      ([name, column]) =>
        [name, { required: isRequired(this.key, name, column) && column.default === undefined, generated: false }] as const,
    );
    const judged = judgeShape({ name: this.name, key: this.key, uniqueKeys: [], columns: new Map(rules) }, op, keyCount, columns);
    if ('code' in judged) return judged;
    const shape = new MemoryShape(this, op, keyCount, columns, judged.suffices);
    this.#shapes.set(id, shape);
    return shape;
  }
}

export class MemoryShape implements Shape {
  readonly table: MemoryTable;
  readonly op: Op;
  readonly keyCount: number;
  readonly columns: readonly string[];
  readonly suffices: boolean;

  constructor(table: MemoryTable, op: Op, keyCount: number, columns: readonly string[], suffices: boolean) {
    this.table = table;
    this.op = op;
    this.keyCount = keyCount;
    this.columns = columns;
    this.suffices = suffices;
  }

  check(row: Row): ChangeFault | undefined {
    for (const [index, name] of this.columns.entries()) {
      const code = this.#problem(name, index, row[index]);
      if (code !== undefined) return { code, message: `${this.table.name}.${name}: the value does not fit` };
    }
    return undefined;
  }

  keyOf(row: Row): string {
    return textOfValues(row.slice(0, this.keyCount));
  }

  #problem(name: string, index: number, value: Value | undefined): ErrorCode | undefined {
    const column = this.table.definition.columns[name] as MemoryColumn;
    if (value === undefined) return 'malformed_payload';
    if (value === null) return isRequired(this.table.key, name, column) ? 'null_not_allowed' : undefined;
    const isInteger = typeof value === 'bigint' || Number.isSafeInteger(value);
    if (index < this.keyCount && !isInteger && typeof value !== 'string' && !(value instanceof Uint8Array) && !(value instanceof Timestamp))
      return 'wrong_type';
    const fits = { int: isInteger, text: typeof value === 'string', bytes: value instanceof Uint8Array };
    return column.type === undefined || fits[column.type] ? undefined : 'wrong_type';
  }
}

/** Equal exactly for equal values. */
export function textOfValues(values: readonly (Value | undefined)[]): string {
  return values
    .map((value) => {
      const text = textOf(value);
      return `${text.length}:${text}`;
    })
    .join('');
}

function textOf(value: Value | undefined): string {
  if (typeof value === 'string') return `t${value}`;
  if (value instanceof Uint8Array) return `b${Buffer.from(value).toString('latin1')}`;
  return value instanceof Timestamp ? `z${isoNanoseconds(value)}` : `n${String(value === 0 ? 0 : value)}`;
}

function isRequired(key: readonly string[], name: string, column: MemoryColumn): boolean {
  return column.notNull === true || key.includes(name);
}
