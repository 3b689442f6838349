import { StallWatch } from '../admin/stall-watch.ts';
import type {
  AdminState,
  CertificateState,
  AuditState,
  ClusterState,
  ConfigState,
  DatagramsState,
  DrainState,
  PartitionState,
  QueueState,
  SessionsState,
  SinkState,
} from '../admin/state.ts';
import type { SliceResult } from '../apply/task.ts';
import type { Config } from '../config/config.ts';
import type { Clock } from '../core/clock.ts';
import type { SyncError } from '../core/errors.ts';
import type { Backlog, Queue } from '../queue/queue.ts';
import type { Sink } from '../sinks/sink.ts';
import type { Node } from './node.ts';

export interface NodeStateOptions {
  readonly config: Config;
  readonly version: string;
  readonly clock: Clock;
  readonly queue: Queue;
  readonly sink: Sink;
  readonly reloader: { readonly config: Config; readonly state: ConfigState };
  readonly audit: { readonly state: AuditState | undefined };
}

/** Puts together what the parts of a node know of themselves, for whoever asks the admin server. */
export class NodeState implements AdminState {
  readonly node: string;
  readonly version: string;
  readonly #options: NodeStateOptions;
  readonly #startedMs: number;
  readonly #stalls: StallWatch;
  #node: Pick<Node, 'scheduler' | 'sessions' | 'cluster' | 'duty'> | undefined;
  #datagrams: DatagramsState | undefined;
  #backlog: readonly Backlog[] = [];
  #sinkFailure: string | undefined;
  /** No slice runs before the sink has been there once. */
  #sinkPrepared = false;

  constructor(options: NodeStateOptions) {
    this.node = options.config.node;
    this.version = options.version;
    this.#options = options;
    this.#startedMs = options.clock.monotonicMs();
    this.#stalls = new StallWatch(options.clock);
  }

  /** From now on also tells how the node's partitions and sessions are. */
  watchNode(node: Pick<Node, 'scheduler' | 'sessions' | 'cluster' | 'duty'>): void {
    this.#node = node;
  }

  /** From now on also tells what became of datagrams. */
  watchDatagrams(datagrams: DatagramsState | undefined): void {
    this.#datagrams = datagrams;
  }

  backlogRead(backlog: readonly Backlog[]): void {
    this.#backlog = backlog;
    this.#stalls.read(backlog);
  }

  /** The sink cannot be used yet, and why. */
  sinkAway(failure: SyncError): void {
    this.#sinkFailure = `${failure.code}: ${failure.message}`;
  }

  sinkPrepared(): void {
    this.#sinkPrepared = true;
    this.#sinkFailure = undefined;
  }

  sliceFinished(partition: number, result: SliceResult): void {
    this.#sinkFailure = result.error && `${result.error.code}: ${result.error.message}`;
    if (result.moves.some(({ before, after }) => after.seq > before.seq)) this.#stalls.advanced(partition);
  }

  uptimeMs(): number {
    return this.#options.clock.monotonicMs() - this.#startedMs;
  }

  async refresh(): Promise<void> {
    const { queue, sink } = this.#options;
    this.backlogRead(await queue.backlog(sink.name));
  }

  cluster(): ClusterState | undefined {
    const cluster = this.#node?.cluster;
    if (cluster === undefined) return undefined;
    const { members, ...view } = cluster.view();
    return {
      ...view,
      primary: cluster.isPrimary,
      members: members.map(({ name, state, version, admin }) => ({ name, state, version, admin })),
    };
  }

  queue(): QueueState {
    const { admission } = this.#options.queue;
    return {
      kind: kindOf(this.#options.config.queue.url),
      held: admission.state === 'held' ? admission.reason : undefined,
      failure: undefined,
    };
  }

  partitions(): readonly PartitionState[] {
    const nowMs = this.#options.clock.wallMs();
    return (this.#node?.scheduler.snapshot() ?? []).map(({ partition, state, detail }) => {
      const waiting = this.#backlog[partition];
      const head = waiting?.headStoredAtUs;
      return {
        partition,
        ...(this.#sinkPrepared ? { state, detail } : { state: 'retrying', detail: this.#sinkFailure ?? 'the server is starting' }),
        batches: waiting?.count ?? 0,
        bytes: waiting?.bytes ?? 0,
        // Of a damaged head, which the next slice drops, the age is not known.
        oldestAgeMs: head === undefined || head === 0 ? 0 : Math.max(0, nowMs - head / 1000),
        stalledMs: this.#stalls.stalledMs(partition),
      };
    });
  }

  sessions(): SessionsState {
    const producers: Record<string, number> = {};
    const addresses: Record<string, number> = {};
    const open = this.#node?.sessions.snapshot() ?? [];
    for (const { producer, address } of open) {
      if (producer !== undefined) producers[producer] = (producers[producer] ?? 0) + 1;
      addresses[address] = (addresses[address] ?? 0) + 1;
    }
    return { open: open.length, producers, addresses };
  }

  certificate(): CertificateState | undefined {
    const { tls } = this.#options.reloader.config.listen;
    return tls && { names: tls.names, expiresAtMs: tls.expiresAtMs };
  }

  datagrams(): DatagramsState | undefined {
    return this.#datagrams;
  }

  sinks(): readonly SinkState[] {
    const { sink, config } = this.#options;
    const guarantee = sink.capabilities.transactions ? 'exactly once' : 'at least once';
    return [{ name: sink.name, kind: kindOf(config.sinks[0].url), guarantee, failure: this.#sinkFailure }];
  }

  deadLetters(): Promise<number> {
    return this.#options.sink.deadLetters.count();
  }

  drain(): DrainState {
    const { slices, leases } = this.#node?.scheduler.load ?? { slices: 0, leases: 0 };
    return {
      duty: this.#node?.duty ?? 'serving',
      sessions: this.#node?.sessions.size ?? 0,
      slices,
      leases,
      takenOver: this.#node?.cluster === undefined ? 'nobody' : 'others',
    };
  }

  config(): ConfigState {
    return this.#options.reloader.state;
  }

  audit(): AuditState | undefined {
    return this.#options.audit.state;
  }
}

function kindOf(url: string): string {
  return url.slice(0, url.indexOf(':'));
}
