/** `syncline/client` for browsers: the same client over WebSockets, with a spool in IndexedDB; `docs/browser.md` explains it. */
import { type CommonOptions, connectBy, type Means, parseUrl } from '../connect.ts';
import { createMemorySpool } from '../memory-spool.ts';
import type { Spool } from '../spool.ts';
import type { Client } from '../sync-client.ts';
import { createWebSocketDialer } from '../web-socket-dialer.ts';
import { openIndexedDbSpool } from './indexed-db-spool.ts';

export { Timestamp } from '../../core/change.ts';
export { type ErrorCode, SyncError } from '../../core/errors.ts';
export type { Level } from '../outbox.ts';
export type { RejectedRow, Rejection } from '../rejection.ts';
export type { InputRow } from '../row-plan.ts';
export type { Spool, SpooledFrame, SpoolState } from '../spool.ts';
export { Client, type ClientEvents, type ClientStatus, type CloseOptions, type FlushOptions, type FlushSummary } from '../sync-client.ts';
export { type Change, type ChangeMaker, type KeyValue, Table, type TableOptions } from '../table.ts';

export interface ConnectOptions extends CommonOptions {
  /** `ws://host:port/path`, or `wss://` for TLS; the path is `/ws` unless it is named. Default: where the page came from. */
  readonly url?: string;
  /** Default: none, which only a server on this machine takes. Whoever can read the page can read it. */
  readonly token?: string;
  /** `indexeddb:NAME`: changes survive page and browser until they are applied. Or a spool of your own. Default: memory. */
  readonly spool?: `indexeddb:${string}` | Spool;
}

/**
 * Connects to a server. Resolves once the server has taken this client in.
 * @throws {SyncError} `auth_failed`, `wrong_producer` and the like at once; `server_unavailable` after `connectTimeoutMs`;
 *   `spool_locked`, `spool_corrupt` or `spool_unavailable` for a spool that cannot be used.
 * @throws {TypeError} for options that make no sense.
 */
export async function connect(options: ConnectOptions = {}): Promise<Client> {
  const url = urlOf(options.url ?? urlOfPage());
  const { spool } = options;
  const means: Means = {
    url,
    token: options.token ?? '',
    agent: `syncline-client ${navigator.userAgent}`.slice(0, MAX_AGENT_CHARS),
    dialer: (clock) => createWebSocketDialer(url, clock),
    openSpool: () => (typeof spool === 'string' ? openIndexedDbSpool(databaseOf(spool)) : (spool ?? createMemorySpool())),
  };
  return connectBy(means, options);
}

/** As much as a server takes. */
const MAX_AGENT_CHARS = 256;
const DEFAULT_PATH = '/ws';
const SPOOL = /^indexeddb:(.+)$/;

/** @throws {TypeError} for a page that came from no server. */
function urlOfPage(): string {
  const { protocol, host } = location;
  if (protocol !== 'http:' && protocol !== 'https:')
    throw new TypeError(`a page of ${protocol} came from no server; name one, as in connect({ url: 'wss://sync.example/ws' })`);
  return `${protocol === 'https:' ? 'wss' : 'ws'}://${host}`;
}

function urlOf(text: string): string {
  const url = parseUrl(text);
  if (url === undefined || (url.protocol !== 'ws:' && url.protocol !== 'wss:'))
    throw new TypeError(`url "${text}" is not of the form ws://host:port or wss://host:port`);
  if (url.pathname === '/') url.pathname = DEFAULT_PATH;
  return url.href;
}

function databaseOf(spool: string): string {
  const name = SPOOL.exec(spool)?.[1];
  if (name === undefined) throw new TypeError(`spool "${spool}" is not of the form indexeddb:NAME`);
  return name;
}
