import type { Clock } from '../../core/clock.ts';
import type { SyncError } from '../../core/errors.ts';
import type { Log } from '../context.ts';
import type { ProxyOptions, TlsDoorOptions } from '../introductions.ts';

/** What both engines are created with. */
export interface WebEngineOptions {
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
  /** Some above it, new connections are cut off without a word: whoever takes them turns the first of them away politely. */
  readonly maxConnections: number;
  /** The same of one address, which hears of it in an answer to HTTP. */
  readonly maxConnectionsPerAddress: number;
  /** The longest message, which may hold several frames. A longer one ends its connection. */
  readonly maxMessageBytes: number;
  /** What messages that have not come to their end may hold of memory, all together. */
  readonly maxUnfinishedBytes: number;
  /** What one connection may send while nobody takes it, where an engine cannot hold a peer back. */
  readonly maxHeldBytes: number;
  /** How long silence may last is counted in these: see `ingest.heartbeatMs`. */
  readonly heartbeatMs: number;
  readonly clock: Clock;
  readonly log: Log;
  readonly proxy: ProxyOptions;
  /** A connection from `address` is turned away, because it has too many. */
  readonly crowded: (address: string, error: SyncError) => void;
  /** Only for the engine on `node:http`: the other could not exchange a certificate while it runs. */
  readonly tls?: TlsDoorOptions | undefined;
}

/** Connections beyond the limit that may be told so. */
export const REFUSAL_RESERVE = 128;
/** The same of one address. */
export const ADDRESS_RESERVE = 16;
/** Bytes of a request before its body; more are 431. */
export const MAX_HEAD_BYTES = 16 * 1024;

/** Close codes of WebSocket (RFC 6455, 7.4.1). */
export const CLOSE = {
  normal: 1000,
  /** A text message came. */
  unsupported: 1003,
  /** The last that was sent is an ERROR frame. */
  policy: 1008,
} as const;
