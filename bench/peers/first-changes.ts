import { changesOf, type Item, type Workload } from '../workload.ts';

/** The first `count` changes of a workload, or all if there are fewer. */
export function firstChanges(workload: Workload, count: number): Item[] {
  const changes: Item[] = [];
  for (const item of changesOf(workload)) {
    if (changes.length >= count) break;
    changes.push(item);
  }
  return changes;
}
