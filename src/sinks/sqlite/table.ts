import type { Op, Row } from '../../core/change.ts';
import type { ChangeFault } from '../../core/errors.ts';
import { judgeShape } from '../shape-rules.ts';
import type { Shape, Table } from '../sink.ts';
import type { Column } from './column.ts';

/** Most shapes that a table remembers; producers with more sets of columns make it forget and check again. */
const MAX_SHAPES = 256;

/** What {@link SqliteTable} is made from, read from the database. */
export interface TableInfo {
  readonly name: string;
  readonly columns: readonly Column[];
  readonly key: readonly string[];
  /** Columns of every other unique index without expressions and conditions, none of them nullable. */
  readonly uniqueKeys: readonly (readonly string[])[];
  readonly independent: boolean;
  /** Tables whose deferred foreign keys a change of this one may break: SQLite looks at them only at COMMIT. */
  readonly deferredChildren: readonly string[];
  /** Why the table takes no changes at all, if so. */
  readonly unsuitable: ChangeFault | undefined;
  /** Equal exactly for tables that are the same in all of the above. */
  readonly signature: string;
}

export class SqliteTable implements Table {
  readonly info: TableInfo;
  readonly name: string;
  readonly key: readonly string[];
  readonly columns: readonly string[];
  readonly independent: boolean;
  readonly #byName = new Map<string, Column>();
  readonly #shapes = new Map<string, SqliteShape>();

  constructor(info: TableInfo) {
    this.info = info;
    this.name = info.name;
    this.key = info.key;
    this.columns = info.columns.map((column) => column.name);
    this.independent = info.independent;
    for (const column of info.columns) this.#byName.set(column.name, column);
  }

  has(column: string): boolean {
    return this.#byName.has(column);
  }

  shape(op: Op, keyCount: number, columns: readonly string[]): SqliteShape | ChangeFault {
    const id = `${op} ${keyCount} ${JSON.stringify(columns)}`;
    const known = this.#shapes.get(id);
    if (known !== undefined) return known;
    const found = this.#newShape(op, keyCount, columns);
    if ('code' in found) return found;
    if (this.#shapes.size >= MAX_SHAPES) this.#shapes.clear();
    this.#shapes.set(id, found);
    return found;
  }

  #newShape(op: Op, keyCount: number, names: readonly string[]): SqliteShape | ChangeFault {
    if (this.info.unsuitable !== undefined) return this.info.unsuitable;
    const rules = { name: this.name, key: this.key, uniqueKeys: this.info.uniqueKeys, columns: this.#byName };
    const judged = judgeShape(rules, op, keyCount, names);
    if ('code' in judged) return judged;
    const targets = names.map((name) => this.#byName.get(name) as Column);
    return new SqliteShape(this, op, keyCount, targets, judged.suffices);
  }
}

export class SqliteShape implements Shape {
  readonly table: SqliteTable;
  readonly op: Op;
  readonly keyCount: number;
  readonly columns: readonly string[];
  readonly suffices: boolean;
  /** As {@link columns}. */
  readonly targets: readonly Column[];

  constructor(table: SqliteTable, op: Op, keyCount: number, targets: readonly Column[], suffices: boolean) {
    this.table = table;
    this.op = op;
    this.keyCount = keyCount;
    this.targets = targets;
    this.columns = targets.map((column) => column.name);
    this.suffices = suffices;
  }

  check(row: Row): ChangeFault | undefined {
    for (let i = 0; i < this.targets.length; i++) {
      const column = this.targets[i] as Column;
      const value = row[i];
      if (value === undefined)
        return { code: 'malformed_payload', message: `table ${this.table.name}: a row has fewer values than columns` };
      let problem = column.problem(value);
      if (problem === undefined && i < this.keyCount) {
        problem = value === null ? { code: 'null_not_allowed', reason: 'a key must have a value' } : column.keyProblem(value);
      }
      if (problem !== undefined) return { code: problem.code, message: `${this.table.name}.${column.name}: ${problem.reason}` };
    }
    return undefined;
  }

  keyOf(row: Row): string {
    const first = this.#keyPart(row, 0);
    if (this.keyCount === 1) return first;
    let key = first;
    for (let i = 1; i < this.keyCount; i++) {
      const part = this.#keyPart(row, i);
      // The length in front keeps ('a', 'bc') and ('ab', 'c') apart.
      key += `${part.length}:${part}`;
    }
    return `${first.length}:${key}`;
  }

  #keyPart(row: Row, index: number): string {
    const value = row[index];
    if (value === undefined) throw new RangeError(`${this.table.name}: a row without its key`);
    return (this.targets[index] as Column).keyPart(value);
  }
}
