import { createLogger } from '../../src/admin/log.ts';
import { schemaRenewal } from '../../src/apply/schema-renewal.ts';
import { runSlices, type SliceContext } from '../../src/apply/slice.ts';
import { systemClock } from '../../src/core/clock.ts';
import { systemRandom } from '../../src/core/random.ts';
import { createAuthenticator, hashToken } from '../../src/ingest/producers.ts';
import { openHttpDoor, type HttpDoor } from '../../src/node/http-door.ts';
import { startNode, type Node } from '../../src/node/node.ts';
import { createMemoryQueue, type MemoryQueue } from '../../src/queue/memory.ts';
import type { Sink } from '../../src/sinks/sink.ts';
import { createMemorySink } from '../../src/sinks/memory.ts';
import { createMemoryStore, type MemoryStore } from '../../src/sinks/memory-store.ts';
import { HttpServer } from './http-exchange.ts';

export type Body = string | Uint8Array<ArrayBuffer> | ReadableStream | null;

export const TOKEN = 'shop.secret';
const PARTITIONS = 4;

export interface HttpWorld extends AsyncDisposable {
  readonly store: MemoryStore;
  readonly queue: MemoryQueue;
  readonly node: Node;
  readonly door: HttpDoor;
  readonly server: HttpServer;
  /** Stops slices from being applied while it is set. */
  held: Promise<void> | undefined;
  /** Where it is set, those of this partition alone. */
  heldPartition: number | undefined;
  /** Sends a request as producer `shop`, unless `headers` say otherwise. */
  send(path: string, body: Body, headers?: Record<string, string>, method?: string): Promise<Answer>;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Record<string, unknown>;
}

export interface HttpWorldOptions {
  readonly web?: Partial<{ maxBodyBytes: number; bufferBytes: number; origins: readonly string[] }>;
  readonly queueBytes?: number;
  readonly maxBatchChanges?: number;
  /** Opens another sink than the one in memory: for the node, and for its slices. */
  readonly openSink?: () => Promise<Sink>;
}

/** A node over a memory queue and a memory sink with `schema: evolve`, and its HTTP API on a port. */
export async function createHttpWorld(options: HttpWorldOptions = {}): Promise<HttpWorld> {
  const [clock, random] = [systemClock, systemRandom];
  const settings = { partitions: PARTITIONS, sinks: [{ name: 'main', required: true }], mapping: '' };
  const queue = createMemoryQueue(settings, {
    clock,
    random,
    ...(options.queueBytes === undefined ? {} : { maxBytes: options.queueBytes }),
  });
  const store = createMemoryStore([
    { name: 'cities', key: ['id'], columns: { id: { type: 'int', notNull: true }, name: { type: 'text' }, size: {} } },
    { name: 'seats', key: ['hall', 'seat'], columns: { hall: {}, seat: {}, guest: {} } },
  ]);
  const open = options.openSink ?? (() => Promise.resolve(createMemorySink({ name: 'main', clock, store, schema: 'evolve' })));
  const sink = await open();
  const sliceSink = await open();
  const context: SliceContext = {
    queue,
    sink: sliceSink,
    clock,
    partitionCount: PARTITIONS,
    partitionBy: new Map(),
    maxFrameBytes: 4 << 20,
    budgetMs: 2_000,
    renewSchema: schemaRenewal(sliceSink, clock),
  };
  const logger = createLogger({ level: 'silent', format: 'json' });
  const world: Pick<HttpWorld, 'held' | 'heldPartition'> = { held: undefined, heldPartition: undefined };
  const node = await startNode({
    name: 'node-1',
    ...{ clock, random, logger, queue, settings, sink },
    runner: {
      run: async (tasks) => {
        if (world.heldPartition === undefined || tasks.some(({ lease }) => lease.partition === world.heldPartition)) await world.held;
        return runSlices(tasks, context);
      },
      close: async () => {},
    },
    authenticator: createAuthenticator({
      producers: [
        { name: 'shop', tokens: [hashToken(TOKEN)] },
        { name: 'blog', tokens: [hashToken('blog.secret')] },
        { name: 'guest', tokens: [hashToken('guest.secret')], rules: [{ tables: ['cities'], operations: ['upsert'], columns: ['name'] }] },
      ],
    }),
    partitionBy: new Map(),
    ingest: {
      ...{ maxConnections: 100, maxConnectionsPerAddress: 100, authTimeoutMs: 5_000, heartbeatMs: 10_000 },
      ...{ maxFrameBytes: 1 << 20, creditBytes: 8 << 20, maxInFlightBytes: 64 << 20 },
      ...{ limits: { maxConnections: 100, maxBatchChanges: options.maxBatchChanges ?? 65_536 }, producerLimits: new Map() },
    },
    leaseMs: 3_000,
    apply: { sliceElements: 256, sliceBytes: 1 << 20, maxConcurrency: PARTITIONS, access: '' },
    retention: { streamDays: 30, requestHours: 24 },
    observer: { sliceFinished: () => {}, backlogRead: () => {}, sinkPrepared: () => {}, sinkAway: () => {} },
  });
  const web = { maxBodyBytes: 1 << 20, bufferBytes: 16 << 20, origins: [], ...options.web };
  const door = openHttpDoor({ node, queue, clock, random, log: logger, web, version: '1.2.3' });
  const server = await HttpServer.start(door.requested);
  return Object.assign(world, {
    ...{ store, queue, node, door, server },
    send: async (path: string, body: Body, headers: Record<string, string> = {}, method = 'POST') => {
      const given = { authorization: `Bearer ${TOKEN}`, ...headers };
      const request = { method, body, headers: given, duplex: 'half' } as const;
      const response = await fetch(`${server.url}${path}`, request);
      const text = await response.text();
      return { status: response.status, headers: response.headers, body: text === '' ? {} : (JSON.parse(text) as Record<string, unknown>) };
    },
    async [Symbol.asyncDispose]() {
      await server.close();
      await door.close();
      await node.close();
      await sink.close();
      await context.sink.close();
      await queue.close();
    },
  });
}
