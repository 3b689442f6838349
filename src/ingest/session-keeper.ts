import type { ErrorCode } from '../core/errors.ts';
import type { StreamId } from '../core/stream.ts';
import type { ProducerLoad, Rate } from './producer-load.ts';
import type { Session } from './session.ts';

/** Who keeps the sessions of a node, as a session sees it. */
export interface SessionKeeper {
  /**
   * The client is known; makes this session the one of its stream. Returns what its producer does at the moment.
   * @throws {SyncError} when the stream is another producer's, or the producer has too many connections.
   */
  opening(session: Session): ProducerLoad;
  /** In the session wait `deltaBytes` more, or less, beyond the chunk that may wait in any; see `Intake`. */
  waiting(deltaBytes: number): void;
  /** Nothing of the stream happens in this session any more. */
  closing(session: Session, code: ErrorCode | undefined): void;
  closed(session: Session): void;
  /** The session stops reading, because its producer exceeds `rate`. */
  paced(rate: Rate): void;
}

/** The states and their transitions stand with {@link Session}. */
export type SessionState = 'greeting' | 'authenticating' | 'opening' | 'open' | 'draining' | 'leaving' | 'closing' | 'closed';

/** One session as people see it. */
export interface SessionStatus {
  /** Undefined until the token was accepted. */
  readonly producer: string | undefined;
  readonly stream: StreamId | undefined;
  readonly agent: string;
  readonly address: string;
  readonly state: SessionState;
  readonly sinceMs: number;
  readonly lastHeardMs: number;
  /** Received and not yet judged by the queue. */
  readonly inFlightBytes: number;
  /** BATCH frames received. */
  readonly frameCount: number;
  readonly rewindCount: number;
}
