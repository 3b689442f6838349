/** Indexes of the items by key, in order. */
export function groupBy<T>(items: readonly T[], keyOf: (item: T) => number): Map<number, number[]> {
  const groups = new Map<number, number[]>();
  items.forEach((item, index) => {
    const group = groups.get(keyOf(item));
    if (group) group.push(index);
    else groups.set(keyOf(item), [index]);
  });
  return groups;
}
