import { readFileSync } from 'node:fs';
import type { WorkerData } from './apply-worker.ts';
import { isDeepStrictEqual } from 'node:util';
import { createAdmin } from './admin/admin.ts';
import { createLogger, type LeveledLogger } from './admin/log.ts';
import { createMetrics } from './admin/metrics.ts';
import { startPool, type GenerationOptions } from './apply/pool.ts';
import { partitionByOf, withoutPassword, type Address, type Config } from './config/config.ts';
import { encodeAccess } from './core/access.ts';
import { checkBind, producerDoor } from './core/bind.ts';
import { systemClock } from './core/clock.ts';
import type { SyncError } from './core/errors.ts';
import type { Connection } from './core/network.ts';
import { randomHex, systemRandom } from './core/random.ts';
import { hasTokens } from './ingest/producers.ts';
import { createTcpListener } from './ingest/tcp.ts';
import { descriptorWarning } from './node/descriptors.ts';
import { DoorTls } from './node/door-tls.ts';
import { Gatekeeper } from './node/gatekeeper.ts';
import { openHttpDoor } from './node/http-door.ts';
import { NodeAudit } from './node/node-audit.ts';
import { IngestCounts } from './node/ingest-counts.ts';
import { ingestSettingsOf } from './node/ingest-settings.ts';
import { NodeState } from './node/node-state.ts';
import { startNode, type NodeSettings } from './node/node.ts';
import { ProxyLog } from './node/proxy-log.ts';
import { Reloader } from './node/reloader.ts';
import { startUdp } from './node/udp.ts';
import { createWebListener } from './node/web-listener.ts';
import { openQueue } from './queue/open.ts';
import { openSink } from './sinks/registry.ts';

/** A running node. */
export interface Server {
  readonly addresses: {
    readonly tcp: Address;
    readonly web: Address | undefined;
    readonly udp: Address | undefined;
    readonly admin: Address;
  };
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
    checkDoors(config);
    for (const warning of config.warnings) logger.warn({}, warning);
    const tooFew = descriptorWarning(config.ingest.maxConnections);
    if (tooFew !== undefined) logger.warn({}, tooFew);

    const audit = new NodeAudit({ config, version: VERSION, clock, logger });
    open.push(() => audit.close());
    const gatekeeper = new Gatekeeper({ tokensFile: config.tokensFile, clock, random, logger });
    open.push(async () => gatekeeper.close());
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
      observer: audit,
      apply: async (next, before) => {
        // First what may fail: the certificate of the doors, then the certificates and passwords of queue and sink.
        const takeCertificate = tls !== undefined && next.listen.tls !== undefined ? tls.prepare(next.listen.tls) : () => {};
        if (!isDeepStrictEqual(workersView(next), workersView(before))) await pool.roll(threadsOf(next, maxConcurrency, incarnation));
        takeCertificate();
        queue.useAccess?.(next.queue);
        sink.useAccess?.(next.sinks[0]);
        logger.level = next.log.level;
        const nextSettings = settingsOf(next, maxConcurrency, gatekeeper);
        const { maxConnections, maxConnectionsPerAddress } = nextSettings.ingest;
        for (const listener of [tcp, web]) if (listener !== undefined) listener.maxConnections = maxConnections;
        if (web !== undefined) web.maxConnectionsPerAddress = maxConnectionsPerAddress;
        admin.useToken(next.listen.admin.token);
        node.configure(nextSettings);
        udp?.configure(next.listen.udp);
      },
    });
    const state = new NodeState({ config, version: VERSION, clock, queue, sink, reloader, audit });
    const metrics = createMetrics(state);
    const counts = new IngestCounts(metrics);
    const nodeSettings = settingsOf(config, maxConcurrency, gatekeeper);
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
      access: audit,
      runner: pool,
      leaseMs: config.apply.leaseMs,
      partitionBy: partitionByOf(config),
      ...nodeSettings,
      observer: {
        sliceFinished: (partition, result) => {
          metrics.sliceFinished(result);
          audit.sliceFinished(result);
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
    const behindNode = open.length;
    open.push(() => node.close());
    state.watchNode(node);
    counts.watch(node);
    gatekeeper.watch((before, after) => {
      audit.tokensChanged(before, after);
      node.useAuthenticator(gatekeeper.authenticator(reloader.config));
    });

    const tls = config.listen.tls && new DoorTls(config.listen.tls, { clock, logger, count: (code) => metrics.connectionRefused(code) });
    open.push(async () => tls?.close());
    const refusedAt = (door: 'tcp' | 'web') => {
      const proxyLog = new ProxyLog(clock, logger, `listen.${door}.proxyFrom`);
      open.push(async () => proxyLog.flush());
      return (balancer: string, error: SyncError) => {
        metrics.connectionRefused(error.code);
        proxyLog.refused(balancer, error);
        audit.refused({ address: balancer, producer: undefined, code: error.code });
      };
    };
    const accept = (connection: Connection) => node.sessions.accept(connection);
    const { proxyFrom: from, tls: usesTls, ...address } = config.listen.tcp;
    const proxy = { from, clock, refused: refusedAt('tcp') };
    const tcp = createTcpListener(
      { ...address, maxConnections: nodeSettings.ingest.maxConnections, log: logger, proxy, tls: usesTls ? tls?.door : undefined },
      accept,
    );
    const http = openHttpDoor({ node, queue, clock, random, log: logger, access: audit, web: config.listen.web, version: VERSION });
    open.push(() => http.close());
    const crowded = (crowd: string, { code }: SyncError) => {
      metrics.connectionRefused(code);
      audit.refused({ address: crowd, producer: undefined, code });
    };
    const web = createWebListener(config, {
      clock,
      logger,
      refused: refusedAt('web'),
      crowded,
      accept,
      requested: http.requested,
      tls: tls?.door,
    });
    const udp = await startUdp(config.listen.udp, { clock, random, logger, queue, node });
    if (udp !== undefined) open.push(() => udp.close());
    state.watchDatagrams(udp);
    const admin = createAdmin({ admin: config.listen.admin, health: config.listen.health, observer: audit }, state, node, metrics, logger);
    await admin.start();
    adminAddress = `${admin.address.host}:${admin.address.port}`;
    open.unshift(() => admin.close());
    await tcp.start();
    open.push(() => tcp.stop());
    await web?.start();
    open.push(async () => web?.stop());
    // Only once clients were sent away and requests answered.
    open.splice(behindNode, 0, async () => web?.close());

    logger.info(
      {
        tcp: `${tcp.address.host}:${tcp.address.port}`,
        ...(web && { web: `${web.address.host}:${web.address.port}` }),
        ...(udp === undefined ? {} : { udp: `${udp.address.host}:${udp.address.port}` }),
        admin: `${admin.address.host}:${admin.address.port}`,
        queue: withoutPassword(config.queue.url),
        sink: withoutPassword(sinkConfig.url),
      },
      asksForTokens(config)
        ? 'listening'
        : 'listening on loopback only, because no token is configured; set SYNCLINE_TOKEN to let others in',
    );
    return {
      addresses: { tcp: tcp.address, web: web?.address, udp: udp?.address, admin: admin.address },
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

function asksForTokens({ producers, tokensFile }: Config): boolean {
  return hasTokens({ producers, issued: tokensFile === undefined ? undefined : [] });
}

/** @throws {SyncError} `listen_unprotected` */
function checkDoors(config: Config): void {
  const asks = asksForTokens(config) ? 'token' : 'nothing';
  const { tcp, web, udp } = config.listen;
  checkBind(producerDoor('listen.tcp.host', tcp.host, asks));
  if (web.enabled) checkBind(producerDoor('listen.web.host', web.host, asks));
  if (udp.port !== undefined) checkBind(producerDoor('listen.udp.host', udp.host, asks));
}

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

function settingsOf(config: Config, maxConcurrency: number, gatekeeper: Gatekeeper): NodeSettings {
  const { threads, slicesPerThread } = slicesOf(config, maxConcurrency);
  return {
    authenticator: gatekeeper.authenticator(config),
    ingest: ingestSettingsOf(config),
    apply: { ...config.apply, maxConcurrency: Math.min(maxConcurrency, threads * slicesPerThread), access: encodeAccess(config.producers) },
    retention: config.retention,
  };
}

const VERSION = (JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }).version;
