/** A change of a data set, as a replica makes it again: the method of the store, and what it is given. */
export type Change =
  | readonly ['setString', key: string, value: string, expireAtMs: number | undefined]
  | readonly ['remove', key: string]
  | readonly ['expire', key: string, atMs: number | undefined]
  | readonly ['push', key: string, items: readonly string[]]
  | readonly ['trim', key: string, from: number, to: number]
  | readonly ['setField', key: string, field: string, value: string]
  | readonly ['removeField', key: string, field: string]
  | readonly ['clear'];

/** A data set as a whole. */
export type Copy = readonly {
  readonly key: string;
  readonly value: string | { readonly list: readonly string[] } | { readonly hash: readonly (readonly [string, string])[] };
  readonly expireAtMs: number | undefined;
}[];

/** What a server sends to its replicas: changes, all or none of which are made, and messages that were published. */
export interface Unit {
  readonly changes: readonly Change[];
  readonly messages: readonly (readonly [channel: string, message: string])[];
  /** The offset behind it. */
  readonly to: number;
}

/** From a primary to a replica: first `full` or `continue`, then units. */
export type StreamMessage =
  | { readonly kind: 'full'; readonly replid: string; readonly offset: number; readonly copy: Copy }
  | { readonly kind: 'continue'; readonly replid: string }
  | ({ readonly kind: 'unit' } & Unit)
  /** Asks how far the replica is. */
  | { readonly kind: 'get ack'; readonly to: number };

/** Roughly what changes take on the wire. */
export function changeBytes(changes: readonly Change[]): number {
  let bytes = 32;
  for (const change of changes) for (const part of change) bytes += partBytes(part);
  return bytes;
}

function partBytes(part: Change[number]): number {
  if (typeof part === 'string') return part.length + 6;
  if (!Array.isArray(part)) return String(part).length + 6;
  let bytes = 0;
  for (const item of part as readonly string[]) bytes += item.length + 6;
  return bytes;
}

export function copyBytes(copy: Copy): number {
  let bytes = 100;
  for (const { key, value } of copy) {
    bytes += key.length + 8;
    const texts = typeof value === 'string' ? [value] : 'list' in value ? value.list : value.hash.flat();
    for (const text of texts) bytes += text.length + 4;
  }
  return bytes;
}
