import { decodeElement } from '../element.ts';
import type { Element, FetchLimits, QueueReader } from '../queue.ts';
import { QueueKeys } from './keys.ts';
import type { RedisNode } from './node.ts';
import { createRouter, type RedisRouter, type RedisRouterOptions } from './router.ts';
import { loadScripts, type Scripts } from './scripts.ts';

export interface RedisReaderOptions extends RedisRouterOptions {
  readonly prefix?: string;
}

export const DEFAULT_PREFIX = 'syncline:';

/** Opens the reading half of a queue in Redis with a connection of its own; resolves when it is connected, or when that failed for now. */
export async function openRedisReader(options: RedisReaderOptions): Promise<QueueReader> {
  const scripts = loadScripts();
  const keys = new QueueKeys(options.prefix ?? DEFAULT_PREFIX);
  const { promise: attempted, resolve } = Promise.withResolvers<void>();
  const watch = (node: RedisNode) => ({
    connected: () => {
      node.settled();
      resolve();
    },
    disconnected: () => resolve(),
    note: () => {},
  });
  // It writes nothing. Where partitions lie is found out when they are read.
  const router = createRouter({ ...options, replicas: 0 }, [keys.installation], { watch, forget: () => {}, lost: () => resolve() });
  await attempted;
  await router.located();
  return {
    fetch: (sink, partition, limits) => fetchElements(router, scripts, keys.list(sink, partition), limits),
    close: async () => router.close(),
  };
}

/** As {@link QueueReader.fetch}, of the list at `key`. */
export async function fetchElements(
  router: Pick<RedisRouter, 'run'>,
  scripts: Scripts,
  key: string,
  limits: FetchLimits,
): Promise<Element[]> {
  const elements = (await router.run(scripts.fetch, [key], [limits.elements, limits.bytes])) as Buffer[];
  return elements.map(decodeElement);
}
