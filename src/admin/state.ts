/**
 * What the admin server tells about a running node: snapshots, taken when somebody asks. The composition root fills
 * this in. Functions answer at once from what is known; those that return promises may ask a database, and may reject.
 */
export interface AdminState {
  readonly node: string;
  readonly version: string;
  uptimeMs(): number;
  /** Brings up to date what is otherwise known as of a second ago: what waits in the queue. May reject. */
  refresh(): Promise<void>;
  /** Others of this installation; undefined for a node that is alone. */
  cluster(): ClusterState | undefined;
  queue(): QueueState;
  /** Every partition once, in order. */
  partitions(): readonly PartitionState[];
  sessions(): SessionsState;
  /** Undefined where no door speaks TLS. */
  certificate(): CertificateState | undefined;
  /** Undefined where nothing listens for datagrams. */
  datagrams(): DatagramsState | undefined;
  sinks(): readonly SinkState[];
  /** How many dead letters are open, over all sinks. */
  deadLetters(): Promise<number>;
  drain(): DrainState;
  config(): ConfigState;
  /** Undefined where there is no audit log. */
  audit(): AuditState | undefined;
}

/** Takes a node out of service and puts it back; both may be called at any time, and again. */
export interface DutyControl {
  drain(): Promise<void>;
  resume(): void;
}

/** Whether the node serves, and what is left to hand over when it is being drained. */
export interface DrainState {
  readonly duty: 'serving' | 'draining' | 'drained' | 'stopping';
  readonly sessions: number;
  /** Slices that run. */
  readonly slices: number;
  readonly leases: number;
  /** Who does the work of a node that is drained. */
  readonly takenOver: 'nobody' | 'others';
}

export interface ConfigState {
  /** When the configuration that is in force was loaded, wall clock. */
  readonly loadedAtMs: number;
  /** Options that were changed since and wait for a restart. */
  readonly waiting: readonly string[];
  /** Why the last reload changed nothing, as `code: message`; undefined when it did, or there was none. */
  readonly failure: string | undefined;
}

export interface AuditState {
  /** The last line that is on the disk: whoever notes its hash sees later whether the end was cut off. */
  readonly last: { readonly seq: number; readonly hash: string };
  /** Events that were lost, because the disk took nothing for too long. */
  readonly lost: number;
  /** Why nothing can be written now. */
  readonly failure: string | undefined;
}

export interface ClusterState {
  readonly mode: string;
  /** Whether this node leads, or is one of several equals that apply. */
  readonly primary: boolean;
  /** The node that leads, where one does; undefined while nobody is known to. */
  readonly leader: string | undefined;
  readonly members: readonly {
    readonly name: string;
    readonly state: string;
    readonly version: string;
    /** Where its admin server listens; may be empty. */
    readonly admin: string;
  }[];
  /** The partitions that this node applies. */
  readonly held: readonly number[];
  /** How far the clock of this machine is ahead of the queue's. */
  readonly clockDifferenceMs: number | undefined;
  /** Partitions that were taken from a node that did not give them back, since the start. */
  readonly takeovers: number;
  /** Partitions that were given back. */
  readonly handovers: number;
}

export interface QueueState {
  /** What kind of queue, for people: `redis`, `sqlite`. Never its URL. */
  readonly kind: string;
  /** Why producers are held back, as `code: message`; undefined while frames are accepted. */
  readonly held: string | undefined;
  /** Why the last append or probe failed; undefined when it succeeded. */
  readonly failure: string | undefined;
}

export interface PartitionState {
  readonly partition: number;
  readonly state: 'applying' | 'elsewhere' | 'waiting-for-lease' | 'retrying' | 'blocked';
  /** For people; may be empty. */
  readonly detail: string;
  /** Batches that are stored and not applied. */
  readonly batches: number;
  readonly bytes: number;
  /** Age of the oldest of them; 0 when there is none. */
  readonly oldestAgeMs: number;
  /** For how long batches have been waiting without any being applied; 0 when none wait. See {@link StallWatch}. */
  readonly stalledMs: number;
}

export interface SessionsState {
  readonly open: number;
  /** By name of producer. */
  readonly producers: Readonly<Record<string, number>>;
  /** By address of the client, also behind a balancer that tells it. */
  readonly addresses: Readonly<Record<string, number>>;
}

/** The certificate that the doors show. */
export interface CertificateState {
  /** For whom it is: `DNS:sync.example`. */
  readonly names: readonly string[];
  /** Wall clock. */
  readonly expiresAtMs: number;
}

export interface DatagramsState {
  /** How many there were since the start, by what became of them. */
  readonly counts: Readonly<Record<string, number>>;
  /** Changes of accepted ones that could not be stored after all. */
  readonly unsendableChanges: number;
  /** Those that the system threw away before anybody read them; undefined where it does not say. */
  kernelDrops(): Promise<number | undefined>;
}

export interface SinkState {
  readonly name: string;
  /** What kind of sink, for people: `mysql`, `sqlite`. Never its URL. */
  readonly kind: string;
  readonly guarantee: 'exactly once' | 'at least once';
  /** Why it cannot be used now, as `code: message`; undefined when nothing is known against it. */
  readonly failure: string | undefined;
}
