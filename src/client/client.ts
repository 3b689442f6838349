/** The client SDK, published as `syncline/client`; `docs/client.md` explains it with examples. */
import { type CommonOptions, connectBy, type Means } from './connect.ts';
import { dialerOfUrl } from './dialer-of-url.ts';
import { openFileSpool } from './file-spool.ts';
import { createMemorySpool } from './memory-spool.ts';
import type { Spool } from './spool.ts';
import type { Client } from './sync-client.ts';
import type { TlsOptions } from './tcp-dialer.ts';

export { Timestamp } from '../core/change.ts';
export { type ErrorCode, SyncError } from '../core/errors.ts';
export type { Level } from './outbox.ts';
export type { RejectedRow, Rejection } from './rejection.ts';
export type { InputRow } from './row-plan.ts';
export type { Spool, SpooledFrame, SpoolState } from './spool.ts';
export { type DatagramChange, encodeDatagram } from './datagram.ts';
export { Client, type ClientEvents, type ClientStatus, type CloseOptions, type FlushOptions, type FlushSummary } from './sync-client.ts';
export { type Change, type ChangeMaker, type KeyValue, Table, type TableOptions } from './table.ts';
export type { TlsOptions } from './tcp-dialer.ts';

export interface ConnectOptions extends CommonOptions {
  /**
   * `tcp://host:port`, or `tcps://host:port` for TLS; over WebSocket `ws://host:port/ws`, or `wss://host:port/ws` for TLS.
   * Default: `SYNCLINE_URL`, else `tcp://127.0.0.1:9501`.
   */
  readonly url?: string;
  /** Default: `SYNCLINE_TOKEN`, else none, which only a server on this machine takes. */
  readonly token?: string;
  /** A folder in which changes survive this process until they are applied, or a spool of your own. Default: memory. */
  readonly spool?: string | Spool;
  /** For `tcps://` only. */
  readonly tls?: TlsOptions;
}

/**
 * Connects to a server. Resolves once the server has taken this client in.
 * @throws {SyncError} `auth_failed`, `wrong_producer` and the like at once; `server_unavailable` after `connectTimeoutMs`;
 *   `spool_locked` or `spool_corrupt` for a folder that cannot be used.
 * @throws {TypeError} for options that make no sense.
 * @throws {Error} on a Node.js that is too old.
 */
export async function connect(options: ConnectOptions = {}): Promise<Client> {
  requireNode(process.versions.node);
  const { spool, tls, url = process.env['SYNCLINE_URL'] ?? DEFAULT_URL } = options;
  const means: Means = {
    url,
    token: options.token ?? process.env['SYNCLINE_TOKEN'] ?? '',
    agent: `syncline-client node/${process.versions.node}`,
    dialer: (clock) => dialerOfUrl(url, tls, clock),
    openSpool: () => (typeof spool === 'string' ? openFileSpool(spool) : (spool ?? createMemorySpool())),
  };
  return connectBy(means, options);
}

/** The oldest Node.js that the client runs on, as `engines` in package.json says: major and minor version. */
const OLDEST_NODE = [24, 15] as const;

function requireNode(version: string): void {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major > OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor >= OLDEST_NODE[1])) return;
  throw new Error(
    `syncline/client needs Node.js ${OLDEST_NODE.join('.')} or newer, and this is ${version}; install a newer one from https://nodejs.org`,
  );
}

const DEFAULT_URL = 'tcp://127.0.0.1:9501';
