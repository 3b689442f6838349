import { decodeElement } from '../element.ts';
import type { Random } from '../../core/random.ts';
import type { Element, FetchLimits, QueueReader } from '../queue.ts';
import { QueueKeys } from './keys.ts';
import { RedisLink, type RedisLinkOptions } from './link.ts';
import { loadScripts, type Scripts } from './scripts.ts';

export interface RedisReaderOptions extends RedisLinkOptions {
  readonly prefix?: string;
  readonly random?: Random;
}

export const DEFAULT_PREFIX = 'syncline:';

/** Opens the reading half of a queue in Redis with a connection of its own; resolves when it is connected, or when that failed for now. */
export async function openRedisReader(options: RedisReaderOptions): Promise<QueueReader> {
  const scripts = loadScripts();
  const keys = new QueueKeys(options.prefix ?? DEFAULT_PREFIX);
  const { promise: attempted, resolve } = Promise.withResolvers<void>();
  const events = {
    up: () => {
      link.settled();
      resolve();
    },
    down: () => resolve(),
  };
  const link: RedisLink = new RedisLink(options, events, options.random);
  await attempted;
  return {
    fetch: (sink, partition, limits) => fetchElements(link, scripts, keys.list(sink, partition), limits),
    close: async () => link.close(),
  };
}

/** As {@link QueueReader.fetch}, of the list at `key`. */
export async function fetchElements(link: RedisLink, scripts: Scripts, key: string, limits: FetchLimits): Promise<Element[]> {
  const elements = (await link.run(scripts.fetch, [key], [limits.elements, limits.bytes])) as Buffer[];
  return elements.map(decodeElement);
}
