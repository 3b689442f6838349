import type { Clock, Timer } from '../core/clock.ts';
import { ERRORS, type ErrorCode, messageOf, SyncError } from '../core/errors.ts';
import type { Connection, Dialer } from '../core/network.ts';
import { backoffMs, type Random } from '../core/random.ts';
import type { SeqByPartition } from '../core/stream.ts';
import type { ErrorNotice } from '../protocol/messages.ts';
import type { Outbox } from './outbox.ts';
import { Session, type SessionEnd, type SessionListener, type SessionSettings } from './session.ts';

export interface LinkSettings extends SessionSettings {
  /** What to do when the server has lost changes that it had acknowledged as applied. */
  readonly onRegressed: 'stop' | 'new-stream';
  /** What to do when the server knows other content under our numbers: by default, what is held goes on in a new stream. */
  readonly onDiverged?: 'stop' | 'new-stream';
}

/** What a link tells its owner, beside what its sessions do. */
export interface LinkListener extends Omit<SessionListener, 'ended'> {
  disconnected(reason: string, retryInMs: number): void;
  /** The server will not have us, and may change its mind: tried again, seldom. */
  refused(error: SyncError): void;
  /** The server has lost applied changes; what follows depends on {@link LinkSettings.onRegressed}. */
  regressed(error: SyncError): void;
  /** There is no way on without a person. Nothing more is tried. */
  failed(error: SyncError): void;
  /** What was held went into a new stream. */
  streamStarted(): void;
}

const BACKOFF_BASE_MS = 50;
const BACKOFF_CAP_MS = 5000;
/** As long as it has not been away for long, a server is expected back soon: the cap grows with the time that it has been. */
const BACKOFF_FIRST_CAP_MS = 250;
const BACKOFF_CAP_SHARE = 1 / 8;
/** Between attempts that somebody must change something for. */
const REFUSED_RETRY_MS = 30_000;
const DIAL_TIMEOUT_MS = 10_000;
/**
 * How long frames of a lost connection may still be on their way into the queue on the server's side. A stream is not
 * left before: what arrives late would be applied beside its copy in the new stream.
 */
const STRAGGLER_MS = 2000;

/** A client that runs twice must stop in the end, however often it reconnected. */
const MAX_LATE_CONNECTIONS = 3;

const FATAL = new Set<ErrorCode>(['stream_owned_by_other', 'wrong_producer', 'queue_mismatch']);
const REGRESSED = new Set<ErrorCode>(['sink_regressed', 'stream_expired']);
/** The peer minds what we are or sent, not the moment. */
const REFUSED = new Set<ErrorCode>([
  'auth_failed',
  'tls_required',
  'certificate_refused',
  'unsupported_version',
  'hello_expected',
  'hello_repeated',
  'bad_hello',
  'frame_too_small',
  'frame_too_large',
  'bad_flags',
  'bad_frame',
  'unknown_type',
  'unknown_partition',
]);

/** A length that was damaged on the way looks like this: it is judged before the checksum can be. */
const MAYBE_DAMAGED = new Set<ErrorCode>(['frame_too_small', 'frame_too_large']);

/** Keeps a client connected: dials, runs one session at a time, and decides what follows its end. */
export class Link {
  readonly #dialer: Dialer;
  readonly #outbox: Outbox;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #settings: LinkSettings;
  readonly #listener: LinkListener;
  #session: Session | undefined;
  #dialing: AbortController | undefined;
  #retry: Timer | undefined;
  #failures = 0;
  /** When the first of these failures was. */
  #awaySinceMs = 0;
  /** The server has minded the size of a frame since a session last got on. */
  #sizeMinded = false;
  /** When a connection was last lost with frames unanswered. */
  #lostFramesAtMs = -Infinity;
  /** Connections of ours that may reach the server late, and then take the stream from the one after them. */
  #lateConnections: number;
  #stopped = false;

  constructor(dialer: Dialer, outbox: Outbox, clock: Clock, random: Random, settings: LinkSettings, listener: LinkListener) {
    this.#dialer = dialer;
    this.#outbox = outbox;
    this.#clock = clock;
    this.#random = random;
    this.#settings = settings;
    this.#listener = listener;
    // The process before this one may have left one on its way.
    this.#lateConnections = outbox.isRestored ? 1 : 0;
  }

  get isConnected(): boolean {
    return this.#session?.isOpen === true;
  }

  get creditBytes(): number {
    return this.#session?.isOpen === true ? this.#session.creditBytes : 0;
  }

  start(): void {
    void this.#dial();
  }

  /** There may be something to send. */
  pump(): void {
    this.#session?.pump();
  }

  /** Nothing more is tried, because of `error`; the session, if there is one, is left by {@link close}. */
  fail(error: SyncError): void {
    if (this.#stopped) return;
    this.#stop();
    this.#listener.failed(error);
  }

  /** Says BYE if connected, and stays away. */
  async close(): Promise<void> {
    this.#stop();
    await this.#session?.leave();
  }

  #stop(): void {
    this.#stopped = true;
    this.#retry?.cancel();
    this.#dialing?.abort();
  }

  async #dial(): Promise<void> {
    this.#retry = undefined;
    const dialing = new AbortController();
    this.#dialing = dialing;
    const timeout = this.#clock.setTimer(DIAL_TIMEOUT_MS, () => dialing.abort(new Error(`no connection within ${DIAL_TIMEOUT_MS} ms`)));
    let connection: Connection;
    try {
      connection = await this.#dialer.connect(dialing.signal);
    } catch (error) {
      return this.#retryLater(messageOf(error));
    } finally {
      timeout.cancel();
      this.#dialing = undefined;
    }
    if (this.#stopped) return connection.destroy();
    const session: Session = new Session(connection, this.#outbox, this.#clock, this.#settings, {
      welcomed: (welcome) => this.#listener.welcomed(welcome),
      opened: (welcome) => this.#listener.opened(welcome),
      rejected: (partition, seq, rejected) => this.#listener.rejected(partition, seq, rejected),
      rewound: (partition, seq, reason) => this.#listener.rewound(partition, seq, reason),
      held: (reason) => this.#listener.held(reason),
      ended: (end) => this.#ended(session, end),
    });
    this.#session = session;
    session.start();
  }

  #ended(session: Session, end: SessionEnd): void {
    if (this.#outbox.outstandingBytes > 0) this.#lostFramesAtMs = this.#clock.monotonicMs();
    this.#outbox.end();
    if (end.kind === 'left') return;
    this.#session = undefined;
    if (session.progressed) {
      this.#failures = 0;
      this.#sizeMinded = false;
    }
    switch (end.kind) {
      case 'broken':
        this.#lateConnections = Math.min(this.#lateConnections + 1, MAX_LATE_CONNECTIONS);
        return this.#retryLater(end.reason);
      case 'goaway':
        return this.#retryIn(end.retryAfterMs * (1 + this.#random.fraction() / 2), `the server asked to connect again: ${end.reason}`);
      case 'settled':
        return this.#startStream('the stream had diverged', 'diverged');
      case 'unfit':
        return this.#refused(end.error);
      case 'refused':
        return this.#refused(errorOf(end.notice), end.notice.missing);
    }
  }

  #refused(error: SyncError, missing?: SeqByPartition): void {
    if (error.code === 'seq_content_mismatch') {
      this.#outbox.diverge(error.message);
      return this.#retryLater(error.message);
    }
    if (error.code === 'stream_taken_over') return this.#takenOver(error);
    if (FATAL.has(error.code)) return this.fail(error);
    if (REGRESSED.has(error.code)) {
      this.#listener.regressed(error);
      if (this.#settings.onRegressed === 'stop') return this.fail(error);
      // A stream that has expired is closed; one that the sink lacks a part of goes on with what the queue holds of it.
      if (missing === undefined) return this.#startStream(error.message, 'regressed');
      this.#outbox.regress(missing);
      return this.#retryLater(error.message);
    }
    if (!REFUSED.has(error.code)) return this.#retryLater(error.message);
    if (MAYBE_DAMAGED.has(error.code) && !this.#sizeMinded) {
      this.#sizeMinded = true;
      return this.#retryLater(error.message);
    }
    this.#listener.refused(error);
    if (!this.#stopped) this.#retryIn(REFUSED_RETRY_MS * (1 + this.#random.fraction() / 2), error.message);
  }

  /** Who did not reconnect runs twice: taking the stream back would go on for ever. */
  #takenOver(error: SyncError): void {
    if (this.#lateConnections === 0) return this.fail(error);
    this.#lateConnections -= 1;
    this.#retryLater(error.message);
  }

  /** Leaves the stream for a new one, once no frame of a lost connection can still arrive in it. */
  #startStream(reason: string, why: 'diverged' | 'regressed'): void {
    if (this.#stopped) return;
    const waitMs = this.#lostFramesAtMs + STRAGGLER_MS - this.#clock.monotonicMs();
    if (waitMs > 0) return this.#retryIn(waitMs, reason);
    const left = this.#outbox.startStream(why);
    this.#listener.streamStarted();
    void left.then(() => this.#retryLater(reason));
  }

  #retryLater(reason: string): void {
    this.#failures += 1;
    const nowMs = this.#clock.monotonicMs();
    if (this.#failures === 1) this.#awaySinceMs = nowMs;
    const awayMs = nowMs - this.#awaySinceMs;
    const capMs = Math.min(BACKOFF_CAP_MS, Math.max(BACKOFF_FIRST_CAP_MS, awayMs * BACKOFF_CAP_SHARE));
    this.#retryIn(backoffMs(this.#random, this.#failures, BACKOFF_BASE_MS, capMs), reason);
  }

  #retryIn(delayMs: number, reason: string): void {
    if (this.#stopped) return;
    this.#listener.disconnected(reason, Math.round(delayMs));
    // The listener may have closed the client.
    if (!this.#stopped) this.#retry = this.#clock.setTimer(delayMs, () => void this.#dial());
  }
}

/** A code that this version does not know is one that a newer server sends; the connection is tried again. */
function errorOf({ code, message }: ErrorNotice): SyncError {
  return Object.hasOwn(ERRORS, code) ? new SyncError(code as ErrorCode, message) : new SyncError('internal', `${code}: ${message}`);
}
