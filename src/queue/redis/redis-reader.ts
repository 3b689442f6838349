import { decodeElement, apartOf, type ListedElement } from '../element.ts';
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
    fetch: (sink, partition, limits) => fetchElements(router, scripts, keys, { sink, partition }, limits),
    close: async () => router.close(),
  };
}

/** A list. */
interface ListPlace {
  readonly sink: string;
  readonly partition: number;
}

/** Of the frames of one append, those that are to be read, which follow one another. */
interface Stretch {
  readonly start: number;
  end: number;
}

/** As {@link QueueReader.fetch}. */
export async function fetchElements(
  router: Pick<RedisRouter, 'run' | 'command'>,
  scripts: Scripts,
  keys: QueueKeys,
  { sink, partition }: ListPlace,
  limits: FetchLimits,
): Promise<Element[]> {
  let headBefore: Uint8Array | undefined;
  for (;;) {
    const reply = (await router.run(scripts.fetch, [keys.list(sink, partition)], [limits.elements, limits.bytes])) as Buffer[];
    const listed = reply.map(decodeElement);
    const stretches = stretchesOf(listed);
    const frames = new Map<string, Buffer>();
    await Promise.all(
      [...stretches].map(async ([apart, { start, end }]) => {
        const bytes = await router.command('GETRANGE', keys.frames(sink, partition, apart), start, end - 1);
        frames.set(apart, bytes as Buffer);
      }),
    );
    const isWhole = [...stretches].every(([apart, { start, end }]) => frames.get(apart)!.length === end - start);
    // What was trimmed in between, perhaps time and again, takes its frames along, and the list then begins elsewhere. Otherwise they are lost.
    const head = listed[0]?.identity;
    const isLast = head !== undefined && headBefore !== undefined && Buffer.compare(head, headBefore) === 0;
    if (isWhole || isLast) return listed.map((element) => wholeElement(element, stretches, frames));
    headBefore = head;
  }
}

function stretchesOf(elements: readonly ListedElement[]): Map<string, Stretch> {
  const stretches = new Map<string, Stretch>();
  for (const element of elements) {
    if (element.kind !== 'apart') continue;
    const { offset, length } = element.place;
    const apart = apartOf(element.identity)!;
    const stretch = stretches.get(apart);
    if (stretch === undefined) stretches.set(apart, { start: offset, end: offset + length });
    else stretch.end = offset + length;
  }
  return stretches;
}

/** With its frame, or with as much of it as is there: a slice asks the client for the rest. */
function wholeElement(element: ListedElement, stretches: ReadonlyMap<string, Stretch>, frames: ReadonlyMap<string, Buffer>): Element {
  const apart = apartOf(element.identity);
  if (element.kind !== 'apart') return apart === undefined ? element : { ...element, apart };
  const { place, ...head } = element;
  const offset = place.offset - stretches.get(apart!)!.start;
  return { ...head, kind: 'frame', frame: frames.get(apart!)!.subarray(offset, offset + place.length), apart: apart! };
}
