import type { Access } from '../core/access.ts';
import type { Clock } from '../core/clock.ts';
import type { Random } from '../core/random.ts';
import type { TableInfo } from '../protocol/messages.ts';
import type { Queue } from '../queue/queue.ts';
import type { Appender } from './appender.ts';
import type { Progress } from '../core/progress.ts';
import type { ProducerLimits, ProducerOverrides } from './producer-load.ts';

/** What sessions work with; the composition root makes one and shares it among all doors. */
export interface IngestContext {
  /** This node's name, as WELCOME tells it. */
  readonly node: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly queue: Queue;
  readonly progress: Progress;
  /** May be exchanged while sessions are open: see `Sessions.authenticate`. */
  readonly authenticator: Authenticator;
  readonly appender: Appender;
  /** May be exchanged: each session keeps those that it began with. */
  readonly settings: IngestSettings;
  readonly log: Log;
  /** Told who comes in and who is turned away; nobody where it is left out. */
  readonly access?: AccessObserver | undefined;
  /** What WELCOME says about tables: the key of each, and how its rows find their partition. */
  tables(): Promise<ReadonlyMap<string, TableInfo>>;
  /** A client has waited for APPLIED in `partition` for more than 5 s: the moment to look whether the queue lost its elements. */
  onWaiting(partition: number): void;
}

/** The section `ingest` of the configuration. */
export interface IngestSettings {
  readonly maxConnections: number;
  readonly maxConnectionsPerAddress: number;
  /** Largest frame, also after expansion. */
  readonly maxFrameBytes: number;
  /** How much one connection may have sent and not yet stored. */
  readonly creditBytes: number;
  readonly authTimeoutMs: number;
  readonly heartbeatMs: number;
  /** Of each producer. */
  readonly limits: ProducerLimits;
  /** What differs for single ones, by name. */
  readonly producerLimits: ReadonlyMap<string, ProducerOverrides>;
}

/** Who may come in, and what they may do there; one for all doors. */
export interface Authenticator {
  /**
   * The producer that a peer is, by its token ('' without one) or by the names in the certificate that it proved to own;
   * undefined when it may not come in. That answer comes late, so that guessing is slow, and never says why, so that it
   * teaches nothing: whoever asks answers `auth_failed` with {@link REFUSED}. What was wrong is in the log.
   */
  authenticate(token: string, remoteAddress: string, certificateNames?: readonly string[]): Promise<string | undefined>;
  /** The same at once, for the digest of a token (`hashToken`), which a session keeps in its place. Nothing is counted. */
  producerOf(digest: string, remoteAddress: string, certificateNames?: readonly string[]): string | undefined;
  /** What a producer may write; undefined: everything. */
  accessOf(producer: string): Access | undefined;
}

/** What is said to whom no door lets in. */
export const REFUSED =
  'the token is not accepted: it is unknown, expired or revoked, or not for this address or certificate; the log of the server says which';
export const NO_TOKEN = 'HELLO brings no token, and this server asks for one';

/** Told of whatever concerns who may use the doors. Anybody can cause floods of it, so its methods return at once. */
export interface AccessObserver {
  admitted(client: {
    readonly address: string;
    readonly producer: string;
    /** The beginning of the digest of its token; undefined where it needed none. */
    readonly token: string | undefined;
    /** Undefined for a request over HTTP. */
    readonly stream: string | undefined;
  }): void;
  /** A connection was turned away, or ended with an error. `producer` is known once its token was right. */
  refused(peer: { readonly address: string; readonly producer: string | undefined; readonly code: string }): void;
}

/** Structured lines for whoever runs the server; fits pino. */
export interface Log {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}
