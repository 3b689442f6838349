import type { Scope } from './expression.ts';
import { compareKeys, type IndexKey } from './keys.ts';
import type { Expression } from './sql/ast.ts';
import type { Entry, Index, Table } from './table.ts';
import type { ColumnType } from './types.ts';
import { keyText, type SqlValue } from './values.ts';

/**
 * How a statement finds rows: one by one through a unique index, or by reading the table, or the part of it where the
 * first columns of the primary key have the values.
 */
export type Access =
  | { readonly kind: 'points'; readonly index: Index; readonly keys: readonly IndexKey[] }
  | { readonly kind: 'scan'; within(entry: Entry): boolean };

/**
 * Chooses an index that fits: the one that is forced, else the primary key, else any unique one. For several keys without
 * a forced index MariaDB may find it cheaper to read the whole table, which `readsTable` decides.
 */
export function accessOf(
  table: Table,
  where: Expression | undefined,
  scope: Scope,
  forced: string | undefined,
  readsTable: () => boolean = () => false,
): Access {
  const bounds = new Bounds(table, where, scope);
  if (bounds.impossible) return { kind: 'points', index: table.primary, keys: [] };
  const unique = [table.primary, ...table.secondary].filter((index) => index.isUnique && index.positions.length > 0);
  for (const index of forced === undefined ? unique : unique.filter(({ name }) => name === forced)) {
    const keys = bounds.keysOf(index);
    if (keys === undefined) continue;
    if (forced === undefined && keys.length > 1 && readsTable()) return { kind: 'scan', within: () => true };
    return { kind: 'points', index, keys };
  }
  return { kind: 'scan', within: bounds.prefixOf(table.primary) };
}

/** The columns that a condition gives values for. */
class Bounds {
  readonly #table: Table;
  readonly #scope: Scope;
  readonly #values = new Map<number, readonly SqlValue[]>();
  readonly #tuples: { readonly positions: readonly number[]; readonly rows: readonly (readonly SqlValue[])[] }[] = [];
  /** Whether no row fits, whatever it holds. */
  impossible = false;

  constructor(table: Table, where: Expression | undefined, scope: Scope) {
    this.#table = table;
    this.#scope = scope;
    if (where !== undefined) this.#read(where);
  }

  keysOf(index: Index): readonly IndexKey[] | undefined {
    const keys = this.#tupleKeys(index) ?? this.#product(index);
    if (keys === undefined || keys.length < 2) return keys;
    const distinct = new Map(keys.map((key) => [index.textOf(key), key]));
    return [...distinct.values()].sort((a, b) => compareKeys(a, b, index.types));
  }

  prefixOf(index: Index): (entry: Entry) => boolean {
    const tests: Set<string>[] = [];
    for (const [i, position] of index.positions.entries()) {
      const values = this.#values.get(position);
      if (values === undefined) break;
      tests.push(new Set(values.map((value) => keyText(value as string, index.types[i] as ColumnType))));
    }
    return ({ key }) => tests.every((test, i) => test.has(keyText(key[i] as string, index.types[i] as ColumnType)));
  }

  #product(index: Index): readonly IndexKey[] | undefined {
    let keys: readonly SqlValue[][] = [[]];
    for (const position of index.positions) {
      const values = this.#values.get(position);
      if (values === undefined) return undefined;
      keys = keys.flatMap((key) => values.map((value) => [...key, value]));
    }
    return keys;
  }

  #tupleKeys(index: Index): readonly IndexKey[] | undefined {
    const tuple = this.#tuples.find(({ positions }) => index.positions.every((position) => positions.includes(position)));
    return tuple?.rows.map((row) => index.positions.map((position) => row[tuple.positions.indexOf(position)] as SqlValue));
  }

  #read(condition: Expression): void {
    if (condition.kind === 'binary' && condition.operator === 'AND') {
      this.#read(condition.left);
      this.#read(condition.right);
    } else if (condition.kind === 'binary' && condition.operator === '=') {
      const [column, value] = condition.left.kind === 'column' ? [condition.left, condition.right] : [condition.right, condition.left];
      this.#bind(column, [value]);
    } else if (condition.kind === 'in' && !condition.negated) {
      if (condition.value.kind === 'tuple') this.#bindTuple(condition.value.items, condition.list);
      else this.#bind(condition.value, condition.list);
    } else if (condition.kind === 'literal') {
      this.impossible ||= condition.value === null || condition.value === 0;
    }
  }

  #bind(column: Expression, list: readonly Expression[]): void {
    const position = this.#positionOf(column);
    if (position === undefined || this.#values.has(position)) return;
    const values = list.map((each) => this.#constant(each, position));
    if (!values.includes(undefined)) this.#values.set(position, values.filter((value) => value !== null) as SqlValue[]);
  }

  #bindTuple(items: readonly Expression[], list: readonly Expression[]): void {
    const positions = items.map((item) => this.#positionOf(item));
    const rows = list.map((each) =>
      each.kind === 'tuple' ? each.items.map((item, i) => this.#constant(item, positions[i])) : [undefined],
    );
    if (positions.includes(undefined) || rows.some((row) => row.includes(undefined) || row.includes(null))) return;
    this.#tuples.push({ positions: positions as number[], rows: rows as SqlValue[][] });
  }

  #positionOf(column: Expression): number | undefined {
    if (column.kind !== 'column') return undefined;
    const found = this.#scope.column(column.table, column.name);
    return found?.source === 0 ? found.position : undefined;
  }

  /** The value if it is one of the column's own kind: others are compared, not looked up. */
  #constant(expression: Expression, position: number | undefined): SqlValue | undefined {
    if (position === undefined || expression.kind !== 'literal') return undefined;
    const { kind } = (this.#table.columns[position] as { type: ColumnType }).type;
    const { type, value } = expression;
    if (type === 'null') return null;
    return type === kind || (type === 'integer' && kind === 'decimal') ? value : undefined;
  }
}
