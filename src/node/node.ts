import type { Logger } from '../admin/log.ts';
import { SinkProgress } from '../apply/progress.ts';
import { startRetention, type Retention } from '../apply/retention.ts';
import { Scheduler } from '../apply/scheduler.ts';
import type { SliceResult, SliceRunner } from '../apply/task.ts';
import type { ServerFacts } from '../client/server-facts.ts';
import { Cluster, type ClusterSettings } from '../cluster/cluster.ts';
import { LeaseKeeper, type LeaseEvents } from '../cluster/lease-keeper.ts';
import type { Clock } from '../core/clock.ts';
import type { SyncError } from '../core/errors.ts';
import type { PartitionBy } from '../core/partition.ts';
import type { Random } from '../core/random.ts';
import { Appender } from '../ingest/appender.ts';
import type { AccessObserver, Authenticator, IngestSettings } from '../ingest/context.ts';
import { Sessions } from '../ingest/sessions.ts';
import type { Backlog, Queue, QueueSettings } from '../queue/queue.ts';
import type { Sink } from '../sinks/sink.ts';
import { logAdmission } from './admission-log.ts';
import { DeadLetterLog } from './dead-letter-log.ts';
import { handOver } from './departure.ts';
import { DutyRoster, type Duty } from './duty.ts';
import { PartitionLog } from './partition-log.ts';
import { startSink } from './start-sink.ts';
import { tableInfos } from './table-infos.ts';

/** What a node is made of. Whoever passes the parts in closes them, after the node. */
export interface NodeParts extends NodeSettings {
  readonly name: string;
  /** Where several nodes share queue and sink; left out where this is the only one. */
  readonly cluster?: ClusterSettings | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly queue: Queue;
  /** What queue and sink are, or were, set up with. */
  readonly settings: QueueSettings;
  /** For the main thread; slices have sinks of their own. */
  readonly sink: Sink;
  /** How many rejected changes of a stream are read at once. */
  readonly rejectionsAtOnce?: number;
  /** Told who comes in. */
  readonly access?: AccessObserver | undefined;
  readonly runner: SliceRunner;
  readonly leaseMs: number;
  readonly partitionBy: ReadonlyMap<string, PartitionBy>;
  readonly observer: NodeObserver;
}

/** What can be changed while a node runs. */
export interface NodeSettings {
  readonly authenticator: Authenticator;
  readonly ingest: IngestSettings & { readonly maxInFlightBytes: number };
  readonly apply: ApplySettings;
  readonly retention: Retention;
}

export interface ApplySettings {
  readonly sliceElements: number;
  readonly sliceBytes: number;
  /** Slices in flight at most. */
  readonly maxConcurrency: number;
  /** What producers may write, as `encodeAccess` writes it: asked again as it is applied. */
  readonly access: string;
}

/** Who watches a node: state and metrics. */
export interface NodeObserver {
  sliceFinished(partition: number, result: SliceResult): void;
  backlogRead(backlog: readonly Backlog[]): void;
  /** Slices may run from now on. */
  sinkPrepared(): void;
  /** The sink cannot be used yet, and why. */
  sinkAway(failure: SyncError): void;
}

/** A node that runs: everything between the doors, the queue and the sink. */
export interface Node {
  /** Where doors bring their connections. */
  readonly sessions: Sessions;
  readonly appender: Appender;
  readonly scheduler: Scheduler;
  readonly cluster: Cluster | undefined;
  readonly duty: Duty;
  /** Whether doors take what needs no session of its own: until balancers are told to lead clients elsewhere. */
  readonly takesRequests: boolean;
  /** Who connections and requests are, as configured now. */
  readonly authenticator: Authenticator;
  /** What a client of `producer` is told about this node and its tables. */
  facts(producer: string): Promise<ServerFacts>;
  /**
   * Goes out of service: lets running slices finish, gives the leases back and sends clients away, and stays so until
   * {@link resume}. Resolves when that is done.
   */
  drain(): Promise<void>;
  /** Takes clients and leases again, after {@link drain}. */
  resume(): void;
  /** From now on connections and slices go by `settings`; sessions whose token is no longer valid end. */
  configure(settings: NodeSettings): void;
  /** From now on this one says who may come in; sessions that it would not let in end. */
  useAuthenticator(authenticator: Authenticator): void;
  /**
   * Says that this node is not ready, to whoever asks, and hands its work over where there are other nodes: see
   * {@link handOver}. What comes next is {@link close}.
   */
  leave(): Promise<void>;
  /** Sends every client away, lets running slices finish and gives the leases back. */
  close(): Promise<void>;
}

/** How long clients have to see what they sent stored, before their connections end. */
const DRAIN_MS = 5_000;
/** The same while the queue takes nothing: what they sent will hardly be stored now. */
const HELD_DRAIN_MS = 1_000;
/** When clients that were sent away may come back. */
const RETRY_AFTER_MS = 250;

/**
 * Puts sessions, appender, scheduler and what belongs to them together, and starts them. A sink that is away is waited
 * for in the background.
 * @throws {SyncError} of kind `startup` when the sink refuses to be used; nothing is left running then.
 */
export async function startNode(parts: NodeParts): Promise<Node> {
  const { name, clock, random, logger, queue, sink, settings, apply, observer } = parts;
  const open: (() => Promise<void>)[] = [];
  const close = async () => {
    for (const closeOne of open.splice(0).reverse()) await closeOne();
  };
  try {
    open.push(logAdmission(queue, clock, logger));
    const progress = new SinkProgress([sink], parts.rejectionsAtOnce);
    const partitionLog = new PartitionLog(clock, logger);
    const deadLetterLog = new DeadLetterLog(clock, logger);
    open.push(async () => {
      partitionLog.flush();
      deadLetterLog.flush();
    });
    const leaseEvents = {
      gained: (lease) => scheduler.gained(lease),
      lost: (partition) => scheduler.lost(partition),
      refused: (partition, holder) => scheduler.refused(partition, holder),
      failed: (partition, message) => scheduler.failed(partition, message),
    } satisfies LeaseEvents;
    const common = { queue, sink: sink.name, clock, random, leaseMs: parts.leaseMs };
    const cluster =
      parts.cluster &&
      new Cluster({
        ...common,
        settings: parts.cluster,
        name,
        log: logger,
        events: {
          ...leaseEvents,
          yield: (partition) => scheduler.yield(partition),
          wake: (partition) => scheduler.wake(partition),
          heal: (partition) => scheduler.heal(partition),
          advancedElsewhere: () => scheduler.advancedElsewhere(),
          fence: async (incarnation) => void (await sink.fence?.(incarnation)),
        },
      });
    const leases = cluster?.leases ?? new LeaseKeeper({ ...common, holder: name, events: leaseEvents });
    const scheduler: Scheduler = new Scheduler({
      queue,
      sink,
      runner: parts.runner,
      clock,
      random,
      leases,
      limits: { elements: apply.sliceElements, bytes: apply.sliceBytes },
      maxConcurrency: apply.maxConcurrency,
      access: apply.access,
      events: {
        moved: (partition, move) => progress.advanced(sink.name, partition, move),
        finished: (partition, result) => {
          cluster?.applied(
            partition,
            result.moves.filter(({ before, after }) => after.seq > before.seq).map(({ stream }) => stream),
          );
          observer.sliceFinished(partition, result);
          deadLetterLog.added(result.stats.deadLetters);
        },
        stateChanged: (partition, to, detail) => partitionLog.changed(partition, to, detail),
        refused: (stream, code) => logger.error({ stream, code }, 'stored changes of a stream were refused by the sink'),
        damaged: (partition, reasons) =>
          logger.error(
            { partition, count: reasons.length, code: 'corrupt_element', reason: reasons[0] },
            'the queue held something other than what was stored; it was dropped, and its clients are asked again',
          ),
        backlog: (backlog) => observer.backlogRead(backlog),
      },
    });
    if (cluster !== undefined) {
      open.push(() => cluster.close());
      await cluster.join();
    }
    open.push(() => scheduler.close());

    const prepared = await startSink({
      sink,
      settings,
      clock,
      random,
      logger,
      onPrepared: () => {
        observer.sinkPrepared();
        void cluster?.ready();
        scheduler.start();
      },
      onAway: async (failure) => {
        observer.sinkAway(failure);
        observer.backlogRead(await queue.backlog(sink.name));
      },
    });
    open.push(() => prepared.close());
    const forgetting = { queue, sink, clock, retention: parts.retention, logger };
    open.push(startRetention(forgetting));

    const appender = new Appender({
      queue,
      clock,
      random,
      log: logger,
      maxInFlightBytes: parts.ingest.maxInFlightBytes,
      onStored: (partition) => {
        scheduler.wake(partition);
        if (cluster?.leases.holds(partition) === false) cluster.wakeElsewhere(partition);
      },
    });
    open.push(async () => appender.close());
    const context = {
      node: name,
      clock,
      random,
      queue,
      progress,
      appender,
      authenticator: parts.authenticator,
      settings: parts.ingest,
      log: logger,
      access: parts.access,
      tables: tableInfos(sink, parts.partitionBy, clock),
      onWaiting: (partition: number) => {
        scheduler.heal(partition);
        if (cluster?.leases.holds(partition) === false) cluster.healElsewhere(partition);
      },
    };
    const sessions = new Sessions(context);
    cluster?.watchNews({ applied: (streams) => sessions.confirm(streams), missed: () => sessions.confirmAll() });
    const drainMs = () => (queue.admission.state === 'open' ? DRAIN_MS : HELD_DRAIN_MS);
    open.push(() => sessions.drainAll(drainMs(), RETRY_AFTER_MS));
    const useAuthenticator = (authenticator: Authenticator) => {
      Object.assign(context, { authenticator });
      sessions.reauthenticate();
    };
    const departure = { cluster, scheduler, sessions, clock };
    let left: Promise<void> | undefined;
    const leave = () => (left ??= handOver(departure));
    open.push(leave);
    const roster = new DutyRoster({
      drain: async (signal) => {
        await handOver(departure, signal);
        if (signal.aborted) return;
        await sessions.drain(drainMs(), RETRY_AFTER_MS);
        // Clients are gone, and what they sent is stored: where nobody took over before, whoever comes may apply it now.
        if (!signal.aborted) await scheduler.drain(cluster?.hasSuccessor === true ? 'elsewhere' : undefined);
      },
      resume: () => {
        cluster?.returning();
        void scheduler.resume();
        sessions.resume();
      },
    });
    return {
      sessions,
      appender,
      scheduler,
      cluster,
      get duty() {
        return roster.duty;
      },
      get takesRequests() {
        return roster.duty === 'serving' || cluster?.keepsClients === true;
      },
      get authenticator() {
        return context.authenticator;
      },
      facts: async (producer) => ({
        producer,
        partitions: queue.partitionCount,
        maxFrameBytes: context.settings.maxFrameBytes,
        tables: await context.tables(),
      }),
      drain: () => roster.drain(),
      resume: () => roster.resume(),
      configure: ({ authenticator, ingest, apply: { sliceElements, sliceBytes, maxConcurrency, access }, retention }) => {
        Object.assign(context, { settings: ingest });
        sessions.settingsChanged();
        useAuthenticator(authenticator);
        appender.maxInFlightBytes = ingest.maxInFlightBytes;
        scheduler.configure({ elements: sliceElements, bytes: sliceBytes }, maxConcurrency, access);
        forgetting.retention = retention;
      },
      useAuthenticator,
      leave: async () => {
        roster.stop();
        await leave();
      },
      close: async () => {
        roster.stop();
        await close();
      },
    };
  } catch (error) {
    await close();
    throw error;
  }
}
