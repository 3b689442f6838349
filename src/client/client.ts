/** The client SDK, published as `syncline/client`; `docs/client.md` explains it with examples. */
import { type Clock, systemClock } from '../core/clock.ts';
import { SyncError } from '../core/errors.ts';
import type { Dialer } from '../core/network.ts';
import { type Random, systemRandom } from '../core/random.ts';
import { dialerOfUrl } from './dialer-of-url.ts';
import { openFileSpool } from './file-spool.ts';
import { createMemorySpool } from './memory-spool.ts';
import type { Spool } from './spool.ts';
import { Client } from './sync-client.ts';
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

export interface ConnectOptions {
  /**
   * `tcp://host:port`, or `tcps://host:port` for TLS; over WebSocket `ws://host:port/ws`, or `wss://host:port/ws` for TLS.
   * Default: `SYNCLINE_URL`, else `tcp://127.0.0.1:9501`.
   */
  readonly url?: string;
  /** Default: `SYNCLINE_TOKEN`, else none, which only a server on this machine takes. */
  readonly token?: string;
  /** The producer that the token must belong to; another one is an error. Default: not checked. */
  readonly producer?: string;
  /** A folder in which changes survive this process until they are applied, or a spool of your own. Default: memory. */
  readonly spool?: string | Spool;
  /** Writes wait while this much is not applied yet. Default 64 MiB. */
  readonly bufferBytes?: number;
  /** A batch is sent when it reaches this size. Default 64 KiB. */
  readonly batchBytes?: number;
  /** A change waits at most this long for others to share its batch; not at all when nothing is under way. Default 5. */
  readonly lingerMs?: number;
  /** How long `connect` waits for the server. Default 10,000. */
  readonly connectTimeoutMs?: number;
  /** Resolve at once, and connect in the background for as long as it takes. Default false. */
  readonly offline?: boolean;
  /**
   * When the server says that it lost changes which it had acknowledged as applied (a database was restored from a
   * backup): `stop` with an error (default), or go on with what is held in a `new-stream`.
   */
  readonly onRegressed?: 'stop' | 'new-stream';
  /** What this program is, for the server's logs. */
  readonly agent?: string;
  /** For `tcps://` only. */
  readonly tls?: TlsOptions;
  readonly clock?: Clock;
  readonly random?: Random;
  /** Opens connections instead of the url. */
  readonly dialer?: Dialer;
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
  const { clock = systemClock, random = systemRandom, offline = false } = options;
  const connectTimeoutMs = count(options.connectTimeoutMs, 'connectTimeoutMs', 10_000);
  const url = options.url ?? process.env['SYNCLINE_URL'] ?? DEFAULT_URL;
  const settings = {
    token: options.token ?? process.env['SYNCLINE_TOKEN'] ?? '',
    producer: options.producer,
    agent: options.agent ?? `syncline-client node/${process.versions.node}`,
    onRegressed: options.onRegressed ?? 'stop',
    bufferBytes: count(options.bufferBytes, 'bufferBytes', 64 * 1024 * 1024),
    batchBytes: count(options.batchBytes, 'batchBytes', 64 * 1024),
    lingerMs: options.lingerMs === 0 ? 0 : count(options.lingerMs, 'lingerMs', 5),
  } as const;
  const dialer = options.dialer ?? dialerOfUrl(url, options.tls, clock);
  const spool = typeof options.spool === 'string' ? await openFileSpool(options.spool) : (options.spool ?? createMemorySpool());
  const client = new Client({ clock, random, dialer, spool }, settings);
  if (offline) {
    client.start();
    return client;
  }
  try {
    await firstWelcome(client, clock, connectTimeoutMs, url);
  } catch (error) {
    await client.close({ flush: false });
    throw error;
  }
  return client;
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

function firstWelcome(client: Client, clock: Clock, timeoutMs: number, url: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let trouble = 'no answer yet; its queue or database may be away';
    const finish = (settle: () => void) => {
      timer.cancel();
      for (const stop of stops) stop();
      settle();
    };
    const timer = clock.setTimer(timeoutMs, () => {
      const message = `no server at ${url} took this client in within ${timeoutMs} ms (${trouble}); start it, or pass { offline: true } to write meanwhile`;
      finish(() => reject(new SyncError('server_unavailable', message)));
    });
    const stops = [
      client.on('connected', () => finish(resolve)),
      client.on('error', (error) => finish(() => reject(error))),
      client.on('disconnected', ({ reason }) => (trouble = reason)),
    ];
    client.start();
  });
}

function count(value: number | undefined, name: string, fallback: number): number {
  if (value === undefined) return fallback;
  if (!Number.isFinite(value) || value < 1) throw new TypeError(`${name} is ${value}; it must be a number of at least 1`);
  return value;
}
