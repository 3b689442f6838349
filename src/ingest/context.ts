import type { Clock } from '../core/clock.ts';
import type { Random } from '../core/random.ts';
import type { TableInfo } from '../protocol/messages.ts';
import type { Queue } from '../queue/queue.ts';
import type { Appender } from './appender.ts';
import type { Progress } from '../core/progress.ts';

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
}

export interface Authenticator {
  /** The producer that `token` belongs to; undefined when it belongs to none. */
  authenticate(token: string, remoteAddress: string): Promise<string | undefined>;
  /** The same for the digest of a token (`hashToken`), which a session keeps in its place. */
  producerOf(digest: string): string | undefined;
}

/** Told of whatever concerns who may use the doors. Anybody can cause floods of it, so its methods return at once. */
export interface AccessObserver {
  admitted(client: {
    readonly address: string;
    readonly producer: string;
    /** The beginning of the digest of its token; undefined where it needed none. */
    readonly token: string | undefined;
    readonly stream: string;
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
