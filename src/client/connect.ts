import { type Clock, systemClock } from '../core/clock.ts';
import { SyncError } from '../core/errors.ts';
import type { Dialer } from '../core/network.ts';
import { type Random, systemRandom } from '../core/random.ts';
import type { Spool } from './spool.ts';
import { Client } from './sync-client.ts';

/** What `connect` takes wherever it runs; each platform adds what it has of its own. */
export interface CommonOptions {
  /** The producer that the token must belong to; another one is an error. Default: not checked. */
  readonly producer?: string;
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
  readonly clock?: Clock;
  readonly random?: Random;
  /** Opens connections instead of the url. */
  readonly dialer?: Dialer;
}

/** What the platform makes of the other options. */
export interface Means {
  readonly url: string;
  readonly token: string;
  readonly agent: string;
  /** @throws {TypeError} for a url that makes no sense. */
  dialer(clock: Clock): Dialer;
  openSpool(): Spool | Promise<Spool>;
}

/** What every `connect` does; see `client.ts` for what it promises. */
export async function connectBy(means: Means, options: CommonOptions): Promise<Client> {
  const { clock = systemClock, random = systemRandom, offline = false } = options;
  const connectTimeoutMs = count(options.connectTimeoutMs, 'connectTimeoutMs', 10_000);
  const settings = {
    token: means.token,
    producer: options.producer,
    agent: options.agent ?? means.agent,
    onRegressed: options.onRegressed ?? 'stop',
    bufferBytes: count(options.bufferBytes, 'bufferBytes', 64 * 1024 * 1024),
    batchBytes: count(options.batchBytes, 'batchBytes', 64 * 1024),
    lingerMs: options.lingerMs === 0 ? 0 : count(options.lingerMs, 'lingerMs', 5),
  } as const;
  const dialer = options.dialer ?? means.dialer(clock);
  const spool = await means.openSpool();
  const client = new Client({ clock, random, dialer, spool }, settings);
  if (offline) {
    client.start();
    return client;
  }
  try {
    await firstWelcome(client, clock, connectTimeoutMs, means.url);
  } catch (error) {
    await client.close({ flush: false });
    throw error;
  }
  return client;
}

/** Undefined for what is no url. @throws {TypeError} for one with a password, which no message shows. */
export function parseUrl(text: string): URL | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url !== undefined && (url.username !== '' || url.password !== ''))
    throw new TypeError('the url must not carry a password; pass the token as { token }');
  return url;
}

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
