/** What hostile peers do. */
export const KINDS = ['wrong tokens', 'drip feeders', 'unfinished frames', 'readers that never read'] as const;
export type Kind = (typeof KINDS)[number];

/** Whom they know, and how many they are. */
export interface FloodPlan {
  readonly port: number;
  /** Of a producer that turned bad. */
  readonly token: string;
  /** Connections in a second that show a token which is none. */
  readonly wrongTokensPerSecond: number;
  readonly dripFeeders: number;
  /** Peers that send most of a large frame, and then nothing. */
  readonly unfinished: number;
  readonly readers: number;
}

/** To the process that they all are. `rest` ends what they do. */
export type FloodCommand =
  | { readonly type: 'plan'; readonly plan: FloodPlan }
  | { readonly type: 'do'; readonly kinds: readonly Kind[] }
  | { readonly type: 'rest' };

/** Since `do`; the answer to `rest`. */
export interface FloodReport {
  /** Tokens that were refused, bytes that dripped, frames that were begun, and PINGs of whom nobody reads the answers. */
  readonly events: Readonly<Record<Kind, number>>;
  /** Peers that were cut off because they did not read. */
  readonly slowReaders: number;
}
