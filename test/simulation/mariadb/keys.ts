import { compareValues, keyText, type Row, type ValueType } from './values.ts';

/** The values of an index's columns in one row, none of them null. */
export type IndexKey = Row;

/** A string that is the same for keys that are equal. */
export function keyTextOf(key: IndexKey, types: readonly ValueType[]): string {
  if (key.length === 1) return keyText(key[0] as string, types[0] as ValueType);
  let text = '';
  for (let i = 0; i < key.length; i++) {
    const part = keyText(key[i] as string, types[i] as ValueType);
    // The length before each value keeps ('a', 'b,c') apart from ('a,b', 'c').
    text += `${part.length}:${part}`;
  }
  return text;
}

/** The order of two keys in their index. */
export function compareKeys(a: IndexKey, b: IndexKey, types: readonly ValueType[]): number {
  for (let i = 0; i < a.length; i++) {
    const order = compareValues(a[i] as string, b[i] as string, types[i] as ValueType);
    if (order !== 0) return order;
  }
  return 0;
}
