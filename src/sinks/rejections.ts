import type { SeqByPartition } from '../core/stream.ts';
import type { DeadLetter, Rejection, RejectionPage } from './sink.ts';

/** What a {@link Rejection} is made from. */
export type RejectedChange = Pick<DeadLetter, 'partition' | 'seq' | 'index' | 'code' | 'message'>;

/** Reads dead letters above one place and up to another, in order of partition and seq, and no more than `limit` where it is given. */
type ReadLetters = (above: SeqByPartition, upTo: SeqByPartition, limit?: number) => Promise<readonly RejectedChange[]>;

/** A page as {@link Sink.readRejections} gives it. */
export async function readRejectionPage(
  read: ReadLetters,
  above: SeqByPartition,
  upTo: SeqByPartition,
  limit: number,
): Promise<RejectionPage> {
  const letters = await read(above, upTo, limit + 1);
  const last = letters[limit];
  if (last === undefined) return { rejections: groupRejections(letters), cut: new Map() };
  // The batch of the last one may go on.
  const { partition, seq } = last;
  const before = letters.filter((letter) => letter.partition !== partition || letter.seq !== seq);
  const isLong = before.length === 0;
  const whole = isLong ? await read(new Map([[partition, seq - 1]]), new Map([[partition, seq]])) : before;
  const cut = new Map<number, number>();
  for (const [each, end] of upTo) {
    const from = above.get(each) ?? 0;
    const readTo = each < partition ? end : each > partition ? from : isLong ? seq : Math.max(from, seq - 1);
    if (readTo < end) cut.set(each, readTo);
  }
  return { rejections: groupRejections(whole), cut };
}

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
