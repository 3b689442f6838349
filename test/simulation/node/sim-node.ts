import { createSliceRunner } from './slice-runner.ts';
import { schemaRenewal } from '../../../src/apply/schema-renewal.ts';
import type { SliceContext } from '../../../src/apply/slice.ts';
import type { Logger } from '../../../src/admin/log.ts';
import type { ClusterMode } from '../../../src/cluster/member.ts';
import type { Clock } from '../../../src/core/clock.ts';
import { messageOf, SyncError } from '../../../src/core/errors.ts';
import { randomHex, type Random } from '../../../src/core/random.ts';
import { createAuthenticator } from '../../../src/ingest/producers.ts';
import { startNode, type Node } from '../../../src/node/node.ts';
import type { Queue, QueueReader, QueueSettings } from '../../../src/queue/queue.ts';
import type { Sink, SinkSettings } from '../../../src/sinks/sink.ts';
import type { SeededRandom } from '../../support/seeded-random.ts';
import { tap, type Tap } from '../client/tap.ts';
import { PARTITION_BY } from '../tables.ts';
import { ByteConnection } from '../world/bytes.ts';
import type { Host } from '../world/host.ts';
import type { Network } from '../world/network.ts';
import type { Wire } from '../world/wire.ts';
import { randomOf } from '../world/seeded.ts';

/** A process that a part of a node lives in. */
export interface Process {
  readonly host: Host;
  readonly clock: Clock;
  readonly random: Random;
  /** Of a node that shares queue and sink with others. */
  readonly incarnation?: string | undefined;
}

/** The queue and the sink of a node, opened from its process. */
export interface Backends {
  openQueue(process: Process, settings: QueueSettings): Promise<Queue>;
  openReader(process: Process): Promise<QueueReader>;
  openSink(process: Process, settings: SinkSettings): Sink;
}

export interface SimNodeOptions {
  readonly host: Host;
  readonly network: Network;
  readonly random: SeededRandom;
  readonly backends: Backends;
  /** Alone when it is left out. */
  readonly mode?: ClusterMode;
  readonly partitions: number;
  /** Threads that apply; two when it is left out. */
  readonly threads?: number | undefined;
  readonly logger: Logger;
  /** The process ended by itself. */
  fault(message: string): void;
  /** Hears a connection that was accepted. */
  tap?(): Tap;
  /** It refused to start: whoever looks after it may try again. */
  refused?(): void;
}

const THREADS = 2;
/** Few, so that a stream often has more. */
const REJECTIONS_AT_ONCE = 3;
const KEEP_ALIVE_MS = 5_000;

/** A node: the production code from the door to queue and sink, in a process that can die. */
export class SimNode {
  readonly host: Host;
  readonly #options: SimNodeOptions;
  #node: Node | undefined;

  constructor(options: SimNodeOptions) {
    this.host = options.host;
    this.#options = options;
  }

  /** Bytes that wait to be stored; for bounds. */
  get inFlightBytes(): number {
    return this.#node?.appender.inFlightBytes ?? 0;
  }

  /** Whether it says to a balancer that clients belong here. */
  get isPrimary(): boolean {
    if (!this.host.isRunning || this.#node === undefined) return false;
    const { duty, cluster } = this.#node;
    return cluster === undefined ? duty === 'serving' : cluster.isPrimary;
  }

  boot(): void {
    this.#node = undefined;
    this.#start(this.host.boot()).catch((error: unknown) => {
      // What a startup error says may be right in the middle of a fault: the process ends, and its supervisor tries again.
      if (!(error instanceof SyncError)) return this.#options.fault(`${this.host.name} ended: ${messageOf(error)}`);
      this.host.crash();
      this.#options.logger.error({ code: error.code }, `${this.host.name} refused to start: ${error.message}`);
      this.#options.refused?.();
    });
  }

  /** Drains as at SIGTERM; the process then ends. */
  async stop(): Promise<void> {
    const node = this.#node;
    await node?.close();
    if (this.#node === node) this.host.crash();
  }

  /** Goes out of service as `syncline drain` makes it, until {@link undrain}. */
  drain(): void {
    void this.#node?.drain();
  }

  undrain(): void {
    this.#node?.resume();
  }

  async #start(clock: Clock): Promise<void> {
    const { host, network, random, backends, mode = 'standalone', partitions, threads: threadCount = THREADS, logger } = this.#options;
    const common = { host, clock, random: randomOf(random) };
    const incarnation = mode === 'standalone' ? undefined : randomHex(common.random, 16);
    const process: Process = { ...common, incarnation };
    const settings: QueueSettings = { partitions, sinks: [{ name: 'main', required: true }], mapping: '' };
    const queue = await backends.openQueue(process, settings);
    const sink = backends.openSink(process, settings);
    const threads: SliceContext[] = [];
    for (let i = 0; i < threadCount; i++) threads.push(await this.#thread(process, settings));
    const node = await startNode({
      name: host.name,
      cluster:
        mode === 'standalone' || incarnation === undefined ? undefined : { mode, incarnation, version: '1.0.0', admin: () => host.name },
      clock,
      random: process.random,
      logger,
      queue,
      settings,
      sink,
      rejectionsAtOnce: REJECTIONS_AT_ONCE,
      runner: createSliceRunner(threads),
      authenticator: createAuthenticator({}),
      partitionBy: PARTITION_BY,
      ingest: {
        maxConnections: 64,
        maxConnectionsPerAddress: 64,
        maxFrameBytes: 64 * 1024,
        creditBytes: 4_000,
        maxInFlightBytes: 8_000,
        authTimeoutMs: 5_000,
        heartbeatMs: 10_000,
        limits: { maxConnections: 64, maxBatchChanges: 65_536 },
        producerLimits: new Map(),
      },
      leaseMs: 3_000,
      apply: { sliceElements: 8, sliceBytes: 8_000, maxConcurrency: threadCount, access: '' },
      retention: { streamDays: 30, requestHours: 24 },
      observer: { sliceFinished: () => {}, backlogRead: () => {}, sinkPrepared: () => {}, sinkAway: () => {} },
    });
    this.#node = node;
    network.listen(host, host.name, (wire: Wire) => {
      const [connection, listener] = [new ByteConnection(wire), this.#options.tap?.()];
      node.sessions.accept(listener === undefined ? connection : tap(connection, listener));
    });
  }

  async #thread(process: Process, settings: SinkSettings): Promise<SliceContext> {
    const { backends, partitions } = this.#options;
    const { clock } = process;
    const sink = backends.openSink(process, settings);
    const keepAlive = () => {
      void sink.keepAlive().catch(() => {});
      clock.setTimer(KEEP_ALIVE_MS, keepAlive);
    };
    clock.setTimer(KEEP_ALIVE_MS, keepAlive);
    return {
      queue: await backends.openReader(process),
      sink,
      clock,
      partitionCount: partitions,
      partitionBy: PARTITION_BY,
      maxFrameBytes: 64 * 1024,
      budgetMs: 2_000,
      renewSchema: schemaRenewal(sink, clock),
    };
  }
}
