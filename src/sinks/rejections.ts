import type { DeadLetter, Rejection } from './sink.ts';

/** What a {@link Rejection} is made from. */
export type RejectedChange = Pick<DeadLetter, 'partition' | 'seq' | 'index' | 'code' | 'message'>;

/**
 * One rejection per batch, code and message, from dead letters in order of partition and seq. A letter of a whole batch
 * (index −1) covers every change of it.
 */
export function groupRejections(letters: readonly RejectedChange[]): Rejection[] {
  const groups = new Map<string, { first: RejectedChange; changes: Set<number> }>();
  for (const letter of letters) {
    const id = `${letter.partition} ${letter.seq} ${letter.code} ${letter.message}`;
    const group = groups.get(id) ?? { first: letter, changes: new Set() };
    group.changes.add(letter.index);
    groups.set(id, group);
  }
  return [...groups.values()].map(({ first, changes }) => ({
    partition: first.partition,
    seq: first.seq,
    code: first.code,
    message: first.message,
    changes: changes.has(-1) ? [] : [...changes].sort((a, b) => a - b),
  }));
}
