// Hot path: every change of a request passes here.
import { type Op, OPS } from '../../core/change.ts';
import { MAX_NAME_BYTES } from '../../protocol/limits.ts';
import type { RequestChange } from './change-writer.ts';

/** Makes a change of one JSON value. @throws {TypeError} that says what is wrong with it. */
export type ReadChange = (value: unknown) => RequestChange;

type JsonObject = { readonly [name: string]: unknown };

/** `{table, op, row, key}`, as `POST /api/v1/changes` takes it. */
export function readChange(value: unknown): RequestChange {
  const change = objectOf(value);
  for (const name in change)
    if (name !== 'table' && name !== 'op' && name !== 'row' && name !== 'key')
      throw new TypeError(`a change has ${shown(name)} beside table, op, row and key`);
  const { table, op = 'upsert', row, key } = change;
  if (typeof table !== 'string' || table === '') throw new TypeError('a change names no table; it is {"table": …, "op": …, "row": {…}}');
  checkName(table);
  if (!OPS.includes(op as Op)) throw new TypeError(`a change of table ${shown(table)} has an op that is none of ${OPS.join(', ')}`);
  if (row !== undefined && !isObject(row))
    throw new TypeError(`a change of table ${shown(table)} has a row that is no object of columns and values`);
  if (key === undefined || key === null) {
    if (row === undefined) throw new TypeError(`a change of table ${shown(table)} has no row`);
    return { table, op: op as Op, row, key: undefined };
  }
  if (Array.isArray(key)) return { table, op: op as Op, row: row ?? {}, key: columnsOf(table, key) };
  if (!isObject(key))
    throw new TypeError(`the key of table ${shown(table)} is neither a list of columns nor an object of them with values`);
  return { table, op: op as Op, row: joined(table, key, row ?? {}), key: columnsOf(table, Object.keys(key)) };
}

/** `{action, table_name, data}`, as PHP sites post it to `POST /api/v1/sync-data`. */
export function readSyncData(value: unknown): RequestChange {
  const change = objectOf(value);
  for (const name in change)
    if (name !== 'action' && name !== 'table_name' && name !== 'data' && name !== 'key')
      throw new TypeError(`a change has ${shown(name)} beside action, table_name, data and key`);
  const { action, table_name: table, data, key } = change;
  if (typeof table !== 'string' || table === '') throw new TypeError('a change has no table_name');
  checkName(table);
  const op = Object.hasOwn(ACTIONS, String(action)) ? ACTIONS[String(action)] : undefined;
  if (op === undefined)
    throw new TypeError(`a change of table ${shown(table)} has an action that is none of ${Object.keys(ACTIONS).join(', ')}`);
  if (!isObject(data)) throw new TypeError(`a change of table ${shown(table)} has data that are no object of columns and values`);
  if (key !== undefined && key !== null && !Array.isArray(key))
    throw new TypeError(`the key of table ${shown(table)} is no list of columns`);
  return { table, op, row: data, key: Array.isArray(key) ? columnsOf(table, key) : undefined };
}

const ACTIONS: Readonly<Record<string, Op>> = { create: 'upsert', update: 'update', delete: 'delete' };

function columnsOf(table: string, key: readonly unknown[]): readonly string[] {
  if (key.length === 0 || new Set(key).size !== key.length || !key.every((column) => typeof column === 'string' && column !== ''))
    throw new TypeError(`the key of table ${shown(table)} must be different column names, such as ["id"]`);
  for (const column of key as readonly string[]) checkName(column);
  return key as readonly string[];
}

/** Names are remembered; nothing has one that is longer. */
function checkName(name: string): void {
  if (name.length > MAX_NAME_BYTES)
    throw new TypeError(`${shown(name)} has ${Buffer.byteLength(name)} bytes; names of tables and columns have at most ${MAX_NAME_BYTES}`);
}

/** Spreading, unlike assigning, makes `__proto__` a column like any other. */
function joined(table: string, key: JsonObject, row: JsonObject): JsonObject {
  for (const column of Object.keys(key)) {
    if (Object.hasOwn(row, column) && row[column] !== key[column])
      throw new TypeError(
        `column ${shown(column)} of table ${shown(table)} has one value in key and another in row; to change a key, delete and insert`,
      );
  }
  return { ...row, ...key };
}

function objectOf(value: unknown): JsonObject {
  if (isObject(value)) return value;
  throw new TypeError('a change is no JSON object');
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A name for a message: whatever was sent, but not all of it. */
function shown(name: string): string {
  return JSON.stringify(name.length > MAX_SHOWN ? `${name.slice(0, MAX_SHOWN)}…` : name);
}

const MAX_SHOWN = 100;
