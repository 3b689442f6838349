import type { StreamId } from '../core/stream.ts';

/**
 * What nodes tell each other so that nobody has to wait for an interval. A hint may be lost, come late or twice, and be
 * wrong: whoever hears it looks, and does nothing that it might not do anyway.
 *
 * - `applied`: watermarks of these streams moved; their sessions elsewhere may look.
 * - `wake`: something was appended. `heal`: a client has waited long. Whoever holds the partition looks.
 * - `released`: the leases are free. `taken`: they are held again.
 * - `members`: a node came or goes.
 */
export type Hint =
  | { readonly type: 'applied'; readonly partition: number; readonly streams: readonly StreamId[] }
  | { readonly type: 'wake' | 'heal' | 'taken'; readonly partition: number }
  | { readonly type: 'released'; readonly partitions: readonly number[] }
  | { readonly type: 'members' };

/** `incarnation type …`: whose hint it is, so that nobody listens to itself. */
export function encodeHint(incarnation: string, hint: Hint): string {
  const words: (string | number)[] = [incarnation, hint.type];
  if (hint.type === 'released') words.push(...hint.partitions);
  else if (hint.type !== 'members') words.push(hint.partition);
  if (hint.type === 'applied') words.push(...hint.streams);
  return words.join(' ');
}

/** A hint of another node; undefined for our own, and for what we do not understand, which a newer node may send. */
export function decodeHint(message: string, incarnation: string, partitionCount: number): Hint | undefined {
  const [from, type, ...rest] = message.split(' ');
  if (from === incarnation) return undefined;
  if (type === 'members') return { type };
  const isPartition = (text: string | undefined) => text !== undefined && /^\d{1,5}$/.test(text) && Number(text) < partitionCount;
  if (type === 'released') return rest.every(isPartition) ? { type, partitions: rest.map(Number) } : undefined;
  if (!isPartition(rest[0])) return undefined;
  const partition = Number(rest[0]);
  if (type === 'applied') return { type, partition, streams: rest.slice(1) };
  return type === 'wake' || type === 'heal' || type === 'taken' ? { type, partition } : undefined;
}
