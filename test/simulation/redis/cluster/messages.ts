import type { KnownNode } from './topology.ts';

/** What every message on the bus says of its sender. Nodes are named by their ids, and slots are never changed afterwards. */
export interface Header {
  readonly from: string;
  readonly currentEpoch: number;
  /** Of a replica: of its master, as its slots are. */
  readonly configEpoch: number;
  readonly slots: readonly number[];
  /** Empty of a master. */
  readonly master: string;
  readonly offset: number;
}

/** What a node says of another. */
export interface Gossip {
  readonly id: string;
  readonly health: KnownNode['health'];
}

export type BusMessage = Header &
  (
    | { readonly kind: 'ping' | 'pong'; readonly gossip: readonly Gossip[] }
    /** The majority of masters does not reach a node. */
    | { readonly kind: 'fail'; readonly id: string }
    | { readonly kind: 'publish'; readonly channel: string; readonly message: string }
    /** A replica asks for a vote, and gets it. */
    | { readonly kind: 'vote request' | 'vote' }
    /** Somebody claims slots that have a newer owner. */
    | { readonly kind: 'update'; readonly id: string; readonly epoch: number; readonly owned: readonly number[] }
  );

type Rest<M> = M extends unknown ? Omit<M, keyof Header> : never;
/** A message without what is said of its sender. */
export type Body = Rest<BusMessage>;
