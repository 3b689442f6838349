import { readFileSync } from 'node:fs';
import type { WorkerData } from './apply-worker.ts';
import { isDeepStrictEqual } from 'node:util';
import { createAdmin } from './admin/admin.ts';
import { createLogger, type LeveledLogger } from './admin/log.ts';
import { createMetrics } from './admin/metrics.ts';
import { startPool, type GenerationOptions } from './apply/pool.ts';
import { partitionByOf, withoutPassword, type Address, type Config } from './config/config.ts';
import { systemClock } from './core/clock.ts';
import { randomHex, systemRandom } from './core/random.ts';
import { createAuthenticator, hasTokens } from './ingest/producers.ts';
import { checkBind, createTcpListener, type ProxyOptions } from './ingest/tcp.ts';
import { IngestCounts } from './node/ingest-counts.ts';
import { NodeState } from './node/node-state.ts';
import { startNode, type NodeSettings } from './node/node.ts';
import { ProxyLog } from './node/proxy-log.ts';
import { Reloader } from './node/reloader.ts';
import { openQueue } from './queue/open.ts';
import { openSink } from './sinks/registry.ts';

/** A running node. */
export interface Server {
  readonly addresses: { readonly tcp: Address; readonly admin: Address };
  /**
   * Goes by another configuration, as far as that is possible while it runs: see `planReload`. Where `load` throws or its
   * result cannot be used, everything stays as it was, and log and status say why.
   */
  reload(load: () => Config): Promise<void>;
  /**
   * Tells whoever asks that this node is not ready, hands its work over where there are other nodes, sends every client
   * away, lets running slices finish, gives the leases back and closes everything.
   */
  close(): Promise<void>;
}

/**
 * Starts a node: queue, sink, worker threads, scheduler, doors, admin. Resolves when it listens.
 * A queue or a sink that is away does not keep it from starting: it accepts what it can and goes on by itself.
 * @throws {SyncError} of kind `startup` when configuration and world disagree; nothing is left running then.
 */
export async function startServer(config: Config, logger: LeveledLogger = createLogger(config.log)): Promise<Server> {
  const clock = systemClock;
  const random = systemRandom;
  const open: (() => Promise<void>)[] = [];
  const close = async () => {
    for (const closeOne of open.toReversed()) await closeOne();
    open.length = 0;
  };
  const [sinkConfig] = config.sinks;
  try {
    checkBind(config.listen.tcp.host, hasTokens(config));
    for (const warning of config.warnings) logger.warn({}, warning);

    const sinks = config.sinks.map(({ name }) => ({ name, required: true }));
    const settings = { partitions: config.queue.partitions, sinks, mapping: config.mapping };
    const queue = await openQueue(config.queue, settings, {
      folder: config.data,
      clock,
      random,
      warn: (message) => logger.warn({}, message),
      shared: config.cluster.mode !== 'standalone',
    });
    open.push(() => queue.close());

    const { mode } = config.cluster;
    const incarnation = mode === 'standalone' ? undefined : randomHex(random, 16);
    const sink = await openSink({ ...sinkConfig, settings, clock, folder: config.data, incarnation });
    open.push(() => sink.close());

    const { maxConcurrency } = sink.capabilities;
    let adminAddress = '';
    const pool = startPool({ filename: WORKER, ...threadsOf(config, maxConcurrency, incarnation) });
    open.push(() => pool.close());

    const reloader = new Reloader({
      config,
      clock,
      logger,
      apply: async (next, before) => {
        // First, because it is the one that may fail: the certificates and passwords of queue and sink are tried here.
        if (!isDeepStrictEqual(workersView(next), workersView(before))) await pool.roll(threadsOf(next, maxConcurrency, incarnation));
        queue.useAccess?.(next.queue);
        sink.useAccess?.(next.sinks[0]);
        logger.level = next.log.level;
        tcp.maxConnections = next.ingest.maxConnections;
        admin.useToken(next.listen.admin.token);
        node.configure(settingsOf(next, maxConcurrency));
      },
    });
    const state = new NodeState({ config, version: VERSION, clock, queue, sink, reloader });
    const metrics = createMetrics(state);
    const counts = new IngestCounts(metrics);
    const node = await startNode({
      name: config.node,
      cluster:
        mode === 'standalone' || incarnation === undefined ? undefined : { mode, incarnation, version: VERSION, admin: () => adminAddress },
      clock,
      random,
      logger,
      queue,
      settings,
      sink,
      runner: pool,
      leaseMs: config.apply.leaseMs,
      partitionBy: partitionByOf(config),
      ...settingsOf(config, maxConcurrency),
      observer: {
        sliceFinished: (partition, result) => {
          metrics.sliceFinished(result);
          state.sliceFinished(partition, result);
        },
        backlogRead: (backlog) => {
          state.backlogRead(backlog);
          counts.read();
        },
        sinkPrepared: () => state.sinkPrepared(),
        sinkAway: (failure) => state.sinkAway(failure),
      },
    });
    open.push(() => node.close());
    state.watchNode(node);
    counts.watch(node);

    const proxyLog = new ProxyLog(clock, logger);
    open.push(async () => proxyLog.flush());
    const { proxyFrom, ...address } = config.listen.tcp;
    const proxy: ProxyOptions = {
      from: proxyFrom,
      clock,
      refused: (balancer, error) => {
        metrics.connectionRefused(error.code);
        proxyLog.refused(balancer, error);
      },
    };
    const tcp = createTcpListener({ ...address, maxConnections: config.ingest.maxConnections, log: logger, proxy }, (connection) =>
      node.sessions.accept(connection),
    );
    const admin = createAdmin({ admin: config.listen.admin, health: config.listen.health }, state, node, metrics, logger);
    await admin.start();
    adminAddress = `${admin.address.host}:${admin.address.port}`;
    open.unshift(() => admin.close());
    await tcp.start();
    open.push(() => tcp.stop());

    logger.info(
      {
        tcp: `${tcp.address.host}:${tcp.address.port}`,
        admin: `${admin.address.host}:${admin.address.port}`,
        queue: withoutPassword(config.queue.url),
        sink: withoutPassword(sinkConfig.url),
      },
      hasTokens(config) ? 'listening' : 'listening on loopback only, because no token is configured; set SYNCLINE_TOKEN to let others in',
    );
    return {
      addresses: { tcp: tcp.address, admin: admin.address },
      reload: async (load) => {
        if (node.duty !== 'stopping') await reloader.reload(load);
      },
      close: async () => {
        await node.leave();
        await close();
      },
    };
  } catch (error) {
    await close();
    throw error;
  }
}

const WORKER = new URL(import.meta.resolve(`./apply-worker${import.meta.filename.slice(-3)}`)).href;

/** A sink that takes one slice at a time has no use for more threads than one. */
function slicesOf({ apply }: Config, maxConcurrency: number): Pick<GenerationOptions, 'threads' | 'slicesPerThread'> {
  return maxConcurrency === 1 ? { threads: 1, slicesPerThread: 1 } : { threads: apply.threads, slicesPerThread: apply.slicesPerThread };
}

function threadsOf(config: Config, maxConcurrency: number, incarnation: string | undefined): GenerationOptions {
  return { ...slicesOf(config, maxConcurrency), workerData: { config, incarnation } satisfies WorkerData };
}

/** What threads were started with and take no news of. */
function workersView({ queue, sinks, apply: { threads, slicesPerThread } }: Config): object {
  return { queue, sinks, threads, slicesPerThread };
}

function settingsOf(config: Config, maxConcurrency: number): NodeSettings {
  const { threads, slicesPerThread } = slicesOf(config, maxConcurrency);
  return {
    authenticator: createAuthenticator({ producers: config.producers }),
    ingest: config.ingest,
    apply: { ...config.apply, maxConcurrency: Math.min(maxConcurrency, threads * slicesPerThread) },
    retentionDays: config.retention.streamDays,
  };
}

const VERSION = (JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }).version;
