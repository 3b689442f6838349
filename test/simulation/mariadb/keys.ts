import { compareValues, keyText, type Row, type ValueType } from './values.ts';

/** The values of an index's columns in one row. */
export type IndexKey = Row;

/** A string that is the same for keys that are equal; nulls are equal here. */
export function keyTextOf(key: IndexKey, types: readonly ValueType[]): string {
  const [only] = key;
  if (key.length === 1 && only !== null && only !== undefined) return keyText(only, types[0] as ValueType);
  let text = '';
  for (let i = 0; i < key.length; i++) {
    const value = key[i];
    const part = value === null || value === undefined ? '' : keyText(value, types[i] as ValueType);
    // The length before each value keeps ('a', 'b,c') apart from ('a,b', 'c').
    text += value === null ? 'null,' : `${part.length}:${part}`;
  }
  return text;
}

/** The order of two keys in their index, where null is less than anything. */
export function compareKeys(a: IndexKey, b: IndexKey, types: readonly ValueType[]): number {
  for (let i = 0; i < a.length; i++) {
    const [left, right] = [a[i] ?? null, b[i] ?? null];
    if (left === null || right === null) {
      if (left === right) continue;
      return left === null ? -1 : 1;
    }
    const order = compareValues(left, right, types[i] as ValueType);
    if (order !== 0) return order;
  }
  return 0;
}
