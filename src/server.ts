import { readFileSync } from 'node:fs';
import { createAdmin } from './admin/admin.ts';
import { createLogger, type Logger } from './admin/log.ts';
import { createMetrics } from './admin/metrics.ts';
import { startPool } from './apply/pool.ts';
import { SinkProgress } from './apply/progress.ts';
import { startRetention } from './apply/retention.ts';
import { Scheduler } from './apply/scheduler.ts';
import { partitionByOf, withoutPassword, type Address, type Config } from './config/config.ts';
import { systemClock } from './core/clock.ts';
import { systemRandom } from './core/random.ts';
import { Appender } from './ingest/appender.ts';
import { createAuthenticator, hasTokens } from './ingest/producers.ts';
import { Sessions } from './ingest/sessions.ts';
import { checkBind, createTcpListener } from './ingest/tcp.ts';
import { logAdmission } from './node/admission-log.ts';
import { DeadLetterLog } from './node/dead-letter-log.ts';
import { IngestCounts } from './node/ingest-counts.ts';
import { NodeState } from './node/node-state.ts';
import { PartitionLog } from './node/partition-log.ts';
import { startSink } from './node/start-sink.ts';
import { tableInfos } from './node/table-infos.ts';
import { openQueue } from './queue/open.ts';
import { openSink } from './sinks/registry.ts';

/** A running node. */
export interface Server {
  readonly addresses: { readonly tcp: Address; readonly admin: Address };
  /** Sends every client away, lets running slices finish, gives the leases back and closes everything. */
  close(): Promise<void>;
}

/** How long clients have to see what they sent stored, before their connections end. */
const DRAIN_MS = 5_000;
/** The same while the queue takes nothing: what they sent will hardly be stored now. */
const HELD_DRAIN_MS = 1_000;
/** When clients that were sent away may come back. */
const RETRY_AFTER_MS = 500;

/**
 * Starts a node: queue, sink, worker threads, scheduler, doors, admin. Resolves when it listens.
 * A queue or a sink that is away does not keep it from starting: it accepts what it can and goes on by itself.
 * @throws {SyncError} of kind `startup` when configuration and world disagree; nothing is left running then.
 */
export async function startServer(config: Config, logger: Logger = createLogger(config.log)): Promise<Server> {
  const clock = systemClock;
  const random = systemRandom;
  const open: (() => Promise<void>)[] = [];
  const close = async () => {
    for (const closeOne of open.toReversed()) await closeOne();
    open.length = 0;
  };
  const [sinkConfig] = config.sinks;
  try {
    const authorized = { producers: config.producers };
    checkBind(config.listen.tcp.host, hasTokens(authorized));
    for (const warning of config.warnings) logger.warn({}, warning);

    const sinks = config.sinks.map(({ name }) => ({ name, required: true }));
    const settings = { partitions: config.queue.partitions, sinks, mapping: config.mapping };
    const queue = await openQueue(config.queue, settings, {
      folder: config.data,
      clock,
      random,
      warn: (message) => logger.warn({}, message),
    });
    open.push(() => queue.close());
    open.push(logAdmission(queue, clock, logger));

    const sink = await openSink({ ...sinkConfig, clock, folder: config.data });
    open.push(() => sink.close());

    // A sink that takes one slice at a time has no use for more threads than one.
    const { maxConcurrency } = sink.capabilities;
    const { threads, slicesPerThread } = maxConcurrency === 1 ? { threads: 1, slicesPerThread: 1 } : config.apply;
    const runner = startPool({
      filename: new URL(import.meta.resolve(`./apply-worker${import.meta.filename.slice(-3)}`)).href,
      threads,
      slicesPerThread,
      workerData: config,
    });
    open.push(() => runner.close());

    const progress = new SinkProgress([sink]);
    const state = new NodeState({ config, version: VERSION, clock, queue, sink });
    const metrics = createMetrics(state);
    const counts = new IngestCounts(metrics);
    const partitionLog = new PartitionLog(clock, logger);
    const deadLetterLog = new DeadLetterLog(clock, logger);
    open.push(async () => {
      partitionLog.flush();
      deadLetterLog.flush();
    });
    const scheduler = new Scheduler({
      queue,
      sink,
      runner,
      clock,
      random,
      node: config.node,
      leaseMs: config.apply.leaseMs,
      takeover: 'steal',
      limits: { elements: config.apply.sliceElements, bytes: config.apply.sliceBytes },
      maxConcurrency: Math.min(maxConcurrency, threads * slicesPerThread),
      events: {
        moved: (partition, move) => progress.advanced(sink.name, partition, move),
        finished: (partition, result) => {
          metrics.sliceFinished(result);
          state.sliceFinished(partition, result);
          deadLetterLog.added(result.stats.deadLetters);
        },
        stateChanged: (partition, to, detail) => partitionLog.changed(partition, to, detail),
        refused: (stream, code) => logger.error({ stream, code }, 'stored changes of a stream were refused by the sink'),
        backlog: (backlog) => {
          state.backlogRead(backlog);
          counts.read();
        },
      },
    });
    state.watchScheduler(scheduler);
    open.push(() => scheduler.close());

    const prepared = await startSink({
      sink,
      settings,
      clock,
      random,
      logger,
      onPrepared: () => {
        state.sinkPrepared();
        scheduler.start();
      },
      onAway: async (failure) => {
        state.sinkAway(failure);
        state.backlogRead(await queue.backlog(sink.name));
      },
    });
    open.push(() => prepared.close());
    open.push(startRetention({ queue, sink, clock, days: config.retention.streamDays, logger }));

    const appender = new Appender({
      queue,
      clock,
      random,
      log: logger,
      maxInFlightBytes: config.ingest.maxInFlightBytes,
      onStored: (partition) => scheduler.wake(partition),
    });
    open.push(() => Promise.resolve(appender.close()));
    const sessions = new Sessions({
      node: config.node,
      clock,
      random,
      queue,
      progress,
      appender,
      authenticator: createAuthenticator(authorized),
      settings: config.ingest,
      log: logger,
      tables: tableInfos(sink, partitionByOf(config), clock),
      onWaiting: (partition) => scheduler.heal(partition),
    });
    state.watchIngest(sessions);
    counts.watch(sessions, appender);
    open.push(() => sessions.drainAll(queue.admission.state === 'open' ? DRAIN_MS : HELD_DRAIN_MS, RETRY_AFTER_MS));

    const tcp = createTcpListener({ ...config.listen.tcp, maxConnections: config.ingest.maxConnections, log: logger }, (connection) =>
      sessions.accept(connection),
    );
    const admin = createAdmin({ admin: config.listen.admin, health: config.listen.health }, state, metrics, logger);
    await admin.start();
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
      hasTokens(authorized)
        ? 'listening'
        : 'listening on loopback only, because no token is configured; set SYNCLINE_TOKEN to let others in',
    );
    return { addresses: { tcp: tcp.address, admin: admin.address }, close };
  } catch (error) {
    await close();
    throw error;
  }
}

const VERSION = (JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }).version;
