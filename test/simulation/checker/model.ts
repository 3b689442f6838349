import type { WireChange } from './wire.ts';

/** A table as the model knows it. */
export interface ModelTable {
  readonly name: string;
  readonly key: string;
  /** Whether the values of a row would be taken. */
  readonly accepts: (values: Readonly<Record<string, unknown>>) => boolean;
  /** Values of columns that a new row is not given. */
  readonly defaults: Readonly<Record<string, unknown>>;
}

/**
 * The plainest database there can be: rows by key, one change after the other. What Syncline does with however many
 * threads, retries and restarts must come to the same.
 */
export class Model {
  readonly rows = new Map<string, Map<unknown, Record<string, unknown>>>();
  readonly #tables: ReadonlyMap<string, ModelTable>;

  constructor(tables: readonly ModelTable[]) {
    this.#tables = new Map(tables.map((table) => [table.name, table]));
    for (const { name } of tables) this.rows.set(name, new Map());
  }

  /** Applies a change; false when it must become a dead letter. */
  apply({ table, op, values }: WireChange): boolean {
    const definition = this.#tables.get(table);
    if (definition === undefined) return false;
    const known = Object.keys(values).every((column) => column === definition.key || column in definition.defaults);
    if (!known || !definition.accepts(values)) return false;
    const rows = this.rows.get(table)!;
    const key = values[definition.key];
    const before = rows.get(key);
    if (op === 'delete') {
      rows.delete(key);
      return true;
    }
    if (op === 'insert' ? before !== undefined : op === 'update' && before === undefined) return false;
    rows.set(key, { ...(before ?? definition.defaults), ...values });
    return true;
  }
}
