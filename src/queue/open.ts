import { resolve } from 'node:path';
import type { Clock } from '../core/clock.ts';
import { SyncError } from '../core/errors.ts';
import type { Random } from '../core/random.ts';
import { REDIS_SCHEMES } from '../core/redis-url.ts';
import { openEmbeddedQueue } from './embedded.ts';
import { openEmbeddedReader } from './embedded/reader.ts';
import type { Queue, QueueReader, QueueSettings } from './queue.ts';
import { openRedisQueue } from './redis/redis-queue.ts';
import { openRedisReader } from './redis/redis-reader.ts';
import type { SentinelsOptions } from './redis/sentinels.ts';
import type { RedisTlsOptions } from './redis/server-options.ts';

/** Where a queue is: what the configuration says under `queue`. */
export interface QueueLocation {
  /** `sqlite:` (in the data folder), `sqlite:<folder>`, or what `core/redis-url.ts` reads. */
  readonly url: string;
  readonly prefix?: string;
  readonly tls?: RedisTlsOptions | undefined;
  /** Of an embedded queue: its size. */
  readonly maxBytes?: number;
  /** Of Redis: the share of maxmemory at which producers are held back. */
  readonly pressurePercent?: number;
  /** Of Redis: how many replicas must have what is stored. */
  readonly replicas?: number;
  /** Who this node is to Sentinels. */
  readonly sentinel?: SentinelsOptions['credentials'];
}

export interface OpenReaderOptions {
  /** The data folder. */
  readonly folder: string;
}

export interface OpenQueueOptions extends OpenReaderOptions {
  /** Receives what is not wrong but unwise about the queue, each message once. */
  readonly warn?: (message: string) => void;
  /** Whether other nodes use the queue, too. */
  readonly shared?: boolean;
  readonly clock?: Clock;
  readonly random?: Random;
}

interface QueueKind {
  open(location: QueueLocation, settings: QueueSettings, options: OpenQueueOptions): Promise<Queue>;
  openReader(location: QueueLocation, options: OpenReaderOptions): Promise<QueueReader>;
}

const embedded: QueueKind = {
  open: (location, settings, { folder, clock, random }) =>
    openEmbeddedQueue(settings, { folder: folderOf(location, folder), ...defined({ maxBytes: location.maxBytes, clock, random }) }),
  openReader: (location, { folder }) => openEmbeddedReader({ folder: folderOf(location, folder) }),
};

const redis: QueueKind = {
  open: ({ url, prefix, tls, sentinel, pressurePercent, replicas }, settings, { warn, clock, random, shared }) =>
    openRedisQueue(settings, { url, ...defined({ prefix, tls, sentinel, pressurePercent, replicas, warn, clock, random, shared }) }),
  openReader: ({ url, prefix, tls, sentinel }) => openRedisReader({ url, ...defined({ prefix, tls, sentinel }) }),
};

/** Every kind of queue by the scheme of its URL. */
const KINDS: ReadonlyMap<string, QueueKind> = new Map<string, QueueKind>([
  ['sqlite:', embedded],
  ...REDIS_SCHEMES.map((scheme) => [scheme, redis] as const),
]);

/** Opens the queue that the URL names. @throws {SyncError} `bad_config` for an unknown scheme; and as that queue does. */
export async function openQueue(location: QueueLocation, settings: QueueSettings, options: OpenQueueOptions): Promise<Queue> {
  return kindOf(location).open(location, settings, options);
}

/** Opens the half that slices use, in whatever thread calls. */
export async function openQueueReader(location: QueueLocation, options: OpenReaderOptions): Promise<QueueReader> {
  return kindOf(location).openReader(location, options);
}

function kindOf({ url }: QueueLocation): QueueKind {
  const scheme = /^[a-z][a-z0-9+.-]*:/i.exec(url)?.[0].toLowerCase();
  const kind = KINDS.get(scheme ?? '');
  if (kind === undefined)
    throw new SyncError(
      'bad_config',
      `queue.url has ${scheme === undefined ? 'no scheme' : `the unknown scheme ${scheme}`}; known are ${[...KINDS.keys()].join(' ')}`,
    );
  return kind;
}

function folderOf({ url }: QueueLocation, folder: string): string {
  const path = url.slice('sqlite:'.length);
  return path === '' ? folder : resolve(path);
}

/** Without the fields that are undefined: options left out, so that their defaults hold. */
function defined<T extends object>(options: T): { [key in keyof T]?: Exclude<T[key], undefined> } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as {
    [key in keyof T]?: Exclude<T[key], undefined>;
  };
}
