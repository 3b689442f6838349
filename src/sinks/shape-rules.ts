import type { Op } from '../core/change.ts';
import type { ChangeFault, ErrorCode } from '../core/errors.ts';

/** What {@link judgeShape} needs to know of a table. */
export interface TableRules {
  readonly name: string;
  readonly key: readonly string[];
  /** Other sets of columns that may serve as the key. */
  readonly uniqueKeys: readonly (readonly string[])[];
  readonly columns: ReadonlyMap<string, ColumnRules>;
}

export interface ColumnRules {
  /** Must have a value, and nothing fills it in. */
  readonly required: boolean;
  readonly generated: boolean;
}

/** Whether changes with this operation, key and these columns fit the table, and whether such a row can be inserted. */
export function judgeShape(
  table: TableRules,
  op: Op,
  keyCount: number,
  names: readonly string[],
): { readonly suffices: boolean } | ChangeFault {
  const fault = (code: ErrorCode, message: string): ChangeFault => ({ code, message: `table ${table.name}: ${message}` });
  if (table.key.length === 0) return fault('no_primary_key', 'has no primary key');
  if (new Set(names).size < names.length) return fault('malformed_payload', 'a column is named twice');
  const unknown = names.find((name) => !table.columns.has(name));
  if (unknown !== undefined) return fault('unknown_column', unknownColumn(table, unknown));
  const key = names.slice(0, keyCount);
  if (![table.key, ...table.uniqueKeys].some((known) => sameNames(known, key))) {
    return fault('wrong_key', `the key is (${table.key.join(', ')}), in this order, not (${key.join(', ')})`);
  }
  if (op === 'delete' && names.length > keyCount) return fault('wrong_key', 'a delete names the key columns only');
  const generated = names.find((name) => table.columns.get(name)?.generated);
  if (generated !== undefined) return fault('column_generated', `column ${generated} is computed by the database`);
  const given = new Set(names);
  const missing = [...table.columns].find(([name, { required }]) => required && !given.has(name))?.[0];
  if (op === 'insert' && missing !== undefined) return fault('null_not_allowed', `column ${missing} must have a value`);
  return { suffices: missing === undefined };
}

function unknownColumn(table: TableRules, name: string): string {
  const similar = [...table.columns.keys()].find((column) => column.toLowerCase() === name.toLowerCase());
  return similar === undefined ? `has no column ${name}` : `column ${name} is spelt ${similar}`;
}

function sameNames(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((name, index) => name === b[index]);
}
