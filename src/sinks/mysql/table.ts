// Hot path
import { strict as assert } from 'node:assert';
import type { Op, Row, Value } from '../../core/change.ts';
import type { ChangeFault } from '../../core/errors.ts';
import type { Shape, Table } from '../sink.ts';
import { codecOf, type ColumnCodec, type ColumnDefinition, type NonNull } from './columns.ts';
import type { Subject } from './errors.ts';
import type { TableDefinition, UniqueIndex } from './schema.ts';

/** How many shapes of a table are remembered; column lists come from the wire. */
const MAX_CACHED_SHAPES = 256;

/** A table of the schema that was read. Immutable: reading the schema again makes new ones. */
export class MysqlTable implements Table {
  readonly name: string;
  readonly key: readonly string[];
  readonly columns: readonly string[];
  readonly independent: boolean;
  readonly definition: TableDefinition;
  readonly #columns: ReadonlyMap<string, Column>;
  readonly #shapes = new Map<string, MysqlShape | ChangeFault>();

  constructor(definition: TableDefinition) {
    const { uniqueIndexes } = definition;
    this.definition = definition;
    this.name = definition.name;
    this.key = uniqueIndexes.find((index) => index.name === 'PRIMARY')?.columns ?? [];
    this.columns = definition.columns.map((column) => column.name);
    this.#columns = new Map(definition.columns.map((column) => [column.name, { definition: column, codec: codecOf(column) }]));
    this.independent =
      uniqueIndexes.length === 1 &&
      definition.foreignColumns.length === 0 &&
      definition.referencedColumns.length === 0 &&
      !definition.checks &&
      !definition.touched &&
      !definition.computes &&
      !definition.partitioned &&
      !definition.versioned;
  }

  shape(op: Op, keyCount: number, columns: readonly string[]): MysqlShape | ChangeFault {
    // No name in the schema holds a NUL, so a list with one is never taken for another that is known.
    const id = `${op}\0${keyCount}\0${columns.length}\0${columns.join('\0')}`;
    let shape = this.#shapes.get(id);
    if (shape === undefined) {
      shape = this.#makeShape(op, keyCount, columns);
      if (this.#shapes.size >= MAX_CACHED_SHAPES) this.#shapes.clear();
      this.#shapes.set(id, shape);
    }
    return shape;
  }

  #makeShape(op: Op, keyCount: number, names: readonly string[]): MysqlShape | ChangeFault {
    const { engine, uniqueIndexes } = this.definition;
    if (engine.toLowerCase() !== 'innodb') {
      return {
        code: 'value_refused',
        message: `table ${this.name} uses the engine ${engine}, which has no transactions; convert it: ALTER TABLE … ENGINE=InnoDB`,
      };
    }
    if (this.key.length === 0) return { code: 'no_primary_key', message: `table ${this.name} has no primary key` };
    const columns: Column[] = [];
    for (const name of names) {
      const column = this.#columns.get(name);
      if (column === undefined) return { code: 'unknown_column', message: `table ${this.name} has no column ${printable(name)}` };
      if (columns.includes(column)) return { code: 'malformed_payload', message: `column ${name} of table ${this.name} is named twice` };
      columns.push(column);
    }
    const keyNames = names.slice(0, keyCount);
    const index = uniqueIndexes.find((candidate) => candidate.identifies && sameNames(candidate.columns, keyNames));
    if (index === undefined || (op === 'delete' && names.length !== keyCount)) {
      return {
        code: 'wrong_key',
        message: `the key of table ${this.name} is ${this.#keysInWords()}, in this order, not (${keyNames.map(printable).join(', ')})`,
      };
    }
    const generated = columns.find((column) => column.definition.generated);
    if (generated !== undefined)
      return { code: 'column_generated', message: `${this.name}.${generated.definition.name} is computed by the database` };
    const missing = this.definition.columns
      .filter((column) => !column.optional && !names.includes(column.name))
      .map((column) => column.name);
    // A trigger may yet give the row what it lacks.
    if (op === 'insert' && missing.length > 0 && !this.definition.triggers) {
      return { code: 'null_not_allowed', message: `table ${this.name} needs a value for ${missing.join(', ')}` };
    }
    return new MysqlShape(this, op, keyCount, columns, index, missing.length === 0);
  }

  #keysInWords(): string {
    const usable = this.definition.uniqueIndexes.filter((index) => index.identifies);
    return usable.map((index) => `(${index.columns.join(', ')})`).join(' or ');
  }
}

interface Column {
  readonly definition: ColumnDefinition;
  readonly codec: ColumnCodec;
}

/** One operation on one set of columns, with everything that can be decided without the rows. */
export class MysqlShape implements Shape {
  readonly table: MysqlTable;
  readonly op: Op;
  readonly keyCount: number;
  readonly columns: readonly string[];
  readonly suffices: boolean;
  readonly keyIndex: UniqueIndex;
  readonly codecs: readonly ColumnCodec[];
  readonly subject: Subject;
  readonly #definitions: readonly ColumnDefinition[];
  /** Tells the keys of a table's several unique indexes apart. */
  readonly #keyPrefix: string;

  constructor(table: MysqlTable, op: Op, keyCount: number, columns: readonly Column[], keyIndex: UniqueIndex, suffices: boolean) {
    this.table = table;
    this.op = op;
    this.keyCount = keyCount;
    this.columns = columns.map((column) => column.definition.name);
    this.suffices = suffices;
    this.keyIndex = keyIndex;
    this.codecs = columns.map((column) => column.codec);
    this.subject = { table: table.name, keyIndex: keyIndex.name, columns: table.columns };
    this.#definitions = columns.map((column) => column.definition);
    this.#keyPrefix = table.definition.uniqueIndexes.length === 1 ? '' : `${keyIndex.name}\0`;
  }

  get keyDefinitions(): readonly ColumnDefinition[] {
    return this.#definitions.slice(0, this.keyCount);
  }

  check(row: Row): ChangeFault | undefined {
    assert(row.length === this.columns.length, 'a row is as long as its columns');
    for (let i = 0; i < row.length; i++) {
      const value = row[i] as Value;
      const definition = this.#definitions[i] as ColumnDefinition;
      if (value === null) {
        if (definition.nullable && i >= this.keyCount) continue;
        return { code: 'null_not_allowed', message: `${this.table.name}.${definition.name}: the column does not take null` };
      }
      const codec = this.codecs[i] as ColumnCodec;
      const refusal = codec.check(value) ?? (i < this.keyCount ? codec.checkKey(value) : undefined);
      if (refusal !== undefined) return { code: refusal.code, message: `${this.table.name}.${definition.name}: ${refusal.reason}` };
    }
    return undefined;
  }

  keyOf(row: Row): string {
    if (this.keyCount === 1) return this.#keyPrefix + this.#keyText(row, 0);
    let key = this.#keyPrefix;
    for (let i = 0; i < this.keyCount; i++) {
      const text = this.#keyText(row, i);
      // The length before each value keeps ('a', 'b,c') apart from ('a,b', 'c').
      key += `${text.length}:${text}`;
    }
    return key;
  }

  #keyText(row: Row, place: number): string {
    return (this.codecs[place] as ColumnCodec).keyText(row[place] as NonNull);
  }
}

/** In the same order too: the partition of a row depends on it. */
function sameNames(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((name, i) => name === b[i]);
}

/** A name from the wire for a message: bounded, and without control characters. */
function printable(name: string): string {
  // eslint-disable-next-line no-control-regex
  return name.slice(0, 64).replace(/[\0-\x1f\x7f]/g, '?');
}
