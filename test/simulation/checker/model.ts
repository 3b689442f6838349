import type { WireChange } from './wire.ts';

/** A table as the model knows it. */
export interface ModelTable {
  readonly name: string;
  readonly key: readonly string[];
  /** Whether the values of a row would be taken. */
  readonly accepts: (values: Values) => boolean;
  /** Values of columns that a new row is not given. */
  readonly defaults: Values;
  /** The table of one key column that must have a row with the value of `column`, and whose rows stay while they are pointed at. */
  readonly parent?: { readonly table: string; readonly column: string };
  /** Columns whose values no two rows share, unless one of them is null. */
  readonly unique?: readonly string[];
}

type Values = Readonly<Record<string, unknown>>;

/**
 * The plainest database there can be: rows by key, one change after the other. What Syncline does with however many
 * threads, retries and restarts must come to the same.
 */
export class Model {
  /** By table and {@link keyOf}. */
  readonly rows = new Map<string, Map<string, Values>>();
  readonly #tables: ReadonlyMap<string, ModelTable>;

  constructor(tables: readonly ModelTable[]) {
    this.#tables = new Map(tables.map((table) => [table.name, table]));
    for (const { name } of tables) this.rows.set(name, new Map());
  }

  /** Applies a change; false when it must become a dead letter. */
  apply({ table: name, op, values }: WireChange): boolean {
    const table = this.#tables.get(name);
    if (table === undefined) return false;
    const known = Object.keys(values).every((column) => table.key.includes(column) || column in table.defaults);
    if (!known || !table.accepts(values)) return false;
    const rows = this.rows.get(name)!;
    const key = keyOf(table, values);
    const before = rows.get(key);
    if (op === 'delete') {
      if (before !== undefined && this.#isParent(table, before)) return false;
      rows.delete(key);
      return true;
    }
    if (op === 'insert' ? before !== undefined : op === 'update' && before === undefined) return false;
    const after = { ...(before ?? table.defaults), ...values };
    if (this.#lacksParent(table, after) || this.#isTaken(table, key, after)) return false;
    rows.set(key, after);
    return true;
  }

  /** Whether rows of another table point at this one. */
  #isParent({ name, key }: ModelTable, row: Values): boolean {
    return [...this.#tables.values()].some(
      (child) =>
        child.parent?.table === name &&
        [...this.rows.get(child.name)!.values()].some((each) => each[child.parent!.column] === row[key[0]!]),
    );
  }

  #lacksParent({ parent }: ModelTable, row: Values): boolean {
    if (parent === undefined) return false;
    const { key } = this.#tables.get(parent.table)!;
    return !this.rows.get(parent.table)!.has(keyOf({ key }, { [key[0]!]: row[parent.column] }));
  }

  #isTaken({ name, unique }: ModelTable, key: string, row: Values): boolean {
    if (unique === undefined || unique.some((column) => row[column] === null)) return false;
    return [...this.rows.get(name)!].some(([other, each]) => other !== key && unique.every((column) => each[column] === row[column]));
  }
}

/** What tells a row of a table from others. */
export function keyOf({ key }: Pick<ModelTable, 'key'>, row: Values): string {
  return key.map((column) => String(row[column])).join(' ');
}
