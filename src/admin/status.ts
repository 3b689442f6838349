import { messageOf } from '../core/errors.ts';
import { obstacles } from './readiness.ts';
import type {
  AdminState,
  CertificateState,
  AuditState,
  ClusterState,
  ConfigState,
  DrainState,
  PartitionState,
  QueueState,
  SessionsState,
  SinkState,
} from './state.ts';
import { withDeadline } from './deadline.ts';

/** What `GET /api/v1/status` answers, and `syncline status` shows. */
export interface Status {
  readonly node: string;
  readonly version: string;
  readonly uptimeMs: number;
  readonly duty: DrainState['duty'];
  readonly ready: boolean;
  /** Why it is not ready, for people. */
  readonly obstacles: readonly string[];
  /** Missing on a node that is alone. */
  readonly cluster?: ClusterState;
  readonly queue: {
    readonly kind: string;
    readonly admission: 'open' | 'held';
    /** Why producers are held back, or why the last append failed. */
    readonly detail?: string;
    readonly batches: number;
    readonly bytes: number;
  };
  /** What is stored and not applied, over all partitions. */
  readonly lag: { readonly batches: number; readonly ms: number };
  readonly partitions: readonly PartitionState[];
  readonly sessions: SessionsState;
  /** Missing where no door speaks TLS. */
  readonly certificate?: CertificateState;
  readonly sinks: readonly (Omit<SinkState, 'failure'> & { readonly failure?: string })[];
  /** `open` is missing, and `failure` says why, while it cannot be read. */
  readonly deadLetters: { readonly open?: number; readonly failure?: string };
  readonly config: Omit<ConfigState, 'failure'> & { readonly failure?: string };
  /** Missing where there is no audit log. */
  readonly audit?: Omit<AuditState, 'failure'> & { readonly failure?: string };
}

export async function readStatus(state: AdminState): Promise<Status> {
  const counting = withDeadline(state.deadLetters()).then(
    (open) => ({ open }),
    (error: unknown) => ({ failure: messageOf(error) }),
  );
  // A queue that is away says so itself, and what was known of it last stands.
  await withDeadline(state.refresh()).catch(() => {});
  const deadLetters = await counting;
  const [queue, partitions] = [state.queue(), state.partitions()];
  const found = obstacles(state);
  const { failure, ...config } = state.config();
  const cluster = state.cluster();
  const certificate = state.certificate();
  const lag = lagOf(partitions);
  return {
    node: state.node,
    version: state.version,
    uptimeMs: Math.round(state.uptimeMs()),
    duty: state.drain().duty,
    ready: found.length === 0,
    obstacles: found,
    ...(cluster === undefined ? {} : { cluster }),
    queue: queueStatus(queue, lag),
    lag: { batches: lag.batches, ms: lag.ms },
    partitions,
    sessions: state.sessions(),
    ...(certificate === undefined ? {} : { certificate }),
    sinks: state.sinks().map(({ failure: fault, ...sink }) => (fault === undefined ? sink : { ...sink, failure: fault })),
    deadLetters,
    config: failure === undefined ? config : { ...config, failure },
    ...auditStatus(state.audit()),
  };
}

function auditStatus(audit: AuditState | undefined): Pick<Status, 'audit'> {
  if (audit === undefined) return {};
  const { failure, ...rest } = audit;
  return { audit: failure === undefined ? rest : { ...rest, failure } };
}

/** Sums over all partitions; the age is that of the oldest batch anywhere. */
export function lagOf(partitions: readonly PartitionState[]): { readonly batches: number; readonly bytes: number; readonly ms: number } {
  let [batches, bytes, ms] = [0, 0, 0];
  for (const partition of partitions) {
    batches += partition.batches;
    bytes += partition.bytes;
    ms = Math.max(ms, partition.oldestAgeMs);
  }
  return { batches, bytes, ms };
}

function queueStatus({ kind, held, failure }: QueueState, { batches, bytes }: ReturnType<typeof lagOf>): Status['queue'] {
  const detail = held ?? failure;
  return { kind, admission: held === undefined ? 'open' : 'held', ...(detail === undefined ? {} : { detail }), batches, bytes };
}
