import type { Clock, Timer } from '../core/clock.ts';
import { messageOf, SyncError } from '../core/errors.ts';
import type { Connection, Receiver } from '../core/network.ts';
import { FRAME, DEFAULT_MAX_FRAME_BYTES, encodeFrame, type Frame, frameName } from '../protocol/frame.ts';
import { FrameDecoder } from '../protocol/frame-decoder.ts';
import { isStalled } from '../protocol/frame-pace.ts';
import {
  decodeCredit,
  decodeError,
  decodeGoaway,
  decodeRejected,
  decodeRewind,
  decodeWelcome,
  encodeHello,
  type ErrorNotice,
  PROTOCOL_VERSION,
  type Rejected,
  type Welcome,
} from '../protocol/messages.ts';
import type { Outbox } from './outbox.ts';

export interface SessionSettings {
  readonly token: string;
  readonly agent: string;
}

/** Why a session ended. */
export type SessionEnd =
  /** The connection broke, the server broke the protocol, or HELLO must be said again. */
  | { readonly kind: 'broken'; readonly reason: string }
  /** The server sent ERROR. */
  | { readonly kind: 'refused'; readonly notice: ErrorNotice }
  /** What the server said in WELCOME does not fit; see {@link SessionListener.welcomed}. */
  | { readonly kind: 'unfit'; readonly error: SyncError }
  | { readonly kind: 'goaway'; readonly reason: string; readonly retryAfterMs: number }
  /** The stream had diverged, and nothing of it can become applied any more. */
  | { readonly kind: 'settled' }
  | { readonly kind: 'left' };

/** What a session tells its owner. */
export interface SessionListener {
  /** WELCOME came; returns why this client cannot work with such a server. Nothing was sent yet. */
  welcomed(welcome: Welcome): SyncError | undefined;
  /** The session is open. */
  opened(welcome: Welcome): void;
  rejected(partition: number, seq: number, rejected: Rejected): void;
  rewound(partition: number, seq: number, reason: string): void;
  /** The window went to 0 (with a reason), or is open again (undefined). */
  held(reason: string | undefined): void;
  ended(end: SessionEnd): void;
}

/** From HELLO to WELCOME. */
const WELCOME_TIMEOUT_MS = 10_000;
/** Frames are handed to the connection while it has less than this to send; the rest stays where it can still be held back. */
const SEND_BUFFER_BYTES = 1024 * 1024;
/** After GOAWAY, how long to wait for the answers to what was sent. */
const GOAWAY_MS = 5000;
/** After BYE, how long the server may take to close. */
const LEAVE_MS = 1000;
/** A peer is gone after this many heartbeats of silence. */
const DEAD_HEARTBEATS = 2.5;

/**
 * One connection, from HELLO to its end.
 *
 *     greeting ── WELCOME ──► open ── GOAWAY ──► draining
 *         └────────────────────┴──────────────────┴──► ended (said once)
 */
export class Session implements Receiver {
  readonly #connection: Connection;
  readonly #outbox: Outbox;
  readonly #clock: Clock;
  readonly #settings: SessionSettings;
  readonly #listener: SessionListener;
  readonly #decoder = new FrameDecoder(DEFAULT_MAX_FRAME_BYTES);
  #state: 'greeting' | 'open' | 'draining' | 'ended' = 'greeting';
  #creditBytes = 0;
  #heartbeatMs = 0;
  #heardAtMs = 0;
  /** When the frame that is not complete began to come. */
  #unfinishedSinceMs = 0;
  #pinged = false;
  /** WELCOME timeout, then heartbeat. */
  #pulse: Timer | undefined;
  #deadline: Timer | undefined;
  #goaway: { readonly reason: string; readonly retryAfterMs: number } | undefined;
  #progressed = false;
  /** Set by {@link leave}: called when the connection is closed. */
  #left: (() => void) | undefined;

  constructor(connection: Connection, outbox: Outbox, clock: Clock, settings: SessionSettings, listener: SessionListener) {
    this.#connection = connection;
    this.#outbox = outbox;
    this.#clock = clock;
    this.#settings = settings;
    this.#listener = listener;
  }

  get isOpen(): boolean {
    return this.#state === 'open' || this.#state === 'draining';
  }

  get creditBytes(): number {
    return this.#creditBytes;
  }

  /** Whether an acknowledgement came: a server that takes us in and falls over at once is not one to hurry back to. */
  get progressed(): boolean {
    return this.#progressed;
  }

  start(): void {
    const { token, agent } = this.#settings;
    const { stream, left } = this.#outbox;
    const payload = encodeHello({ v: PROTOCOL_VERSION, token, stream, oldest: this.#outbox.oldest(), agent, left });
    this.#pulse = this.#clock.setTimer(WELCOME_TIMEOUT_MS, () =>
      this.#broken(`no WELCOME came within ${WELCOME_TIMEOUT_MS} ms; the server may be waiting for its queue or database`),
    );
    this.#connection.open(this);
    if (this.#state === 'greeting') this.#connection.write(encodeFrame({ type: FRAME.hello, payload }));
  }

  /** Sends what may be sent now. */
  pump(): void {
    while (this.#state === 'open' && this.#connection.bufferedBytes < SEND_BUFFER_BYTES) {
      const frame = this.#outbox.take(this.#creditBytes);
      if (frame === undefined) return;
      this.#connection.write(frame.bytes);
    }
  }

  /** Says BYE and closes; resolves when the connection is closed. */
  leave(): Promise<void> {
    if (this.#state === 'ended') return Promise.resolve();
    return new Promise((resolve) => {
      let timer: Timer | undefined;
      this.#left = () => {
        this.#left = undefined;
        timer?.cancel();
        resolve();
      };
      if (this.isOpen) this.#connection.write(encodeFrame({ type: FRAME.bye }));
      this.#end({ kind: 'left' }, 'graceful');
      // The connection may have closed in the call.
      if (this.#left !== undefined) timer = this.#clock.setTimer(LEAVE_MS, () => this.#connection.destroy());
    });
  }

  data(chunk: Uint8Array): void {
    if (this.#state === 'ended') return;
    this.#heardAtMs = this.#clock.monotonicMs();
    this.#pinged = false;
    try {
      if (this.#decoder.bufferedBytes === 0) this.#unfinishedSinceMs = this.#heardAtMs;
      this.#decoder.push(chunk);
      for (let frame = this.#decoder.next(); frame !== undefined; frame = this.#decoder.next()) {
        this.#unfinishedSinceMs = this.#heardAtMs;
        this.#handle(frame);
        if (this.#isEnded()) return;
      }
    } catch (error) {
      if (!(error instanceof SyncError)) throw error;
      return this.#broken(error.message);
    }
    this.#afterFrames();
  }

  drain(): void {
    this.pump();
  }

  close(error?: Error): void {
    this.#left?.();
    if (this.#goaway !== undefined) this.#end({ kind: 'goaway', ...this.#goaway }, 'at once');
    else this.#broken(error === undefined ? 'the server closed the connection' : messageOf(error));
  }

  #handle(frame: Frame): void {
    const { type, partition, seq, payload } = frame;
    if (this.#state === 'greeting' && type !== FRAME.welcome && type !== FRAME.error && type !== FRAME.ping) {
      return this.#broken(`the server sent ${frameName(type)} before WELCOME`);
    }
    switch (type) {
      case FRAME.welcome:
        return this.#welcome(decodeWelcome(payload));
      case FRAME.stored:
        if (this.#outbox.stored(partition, { seq, crc: frame.prev })) this.#progressed = true;
        return;
      case FRAME.applied:
        if (this.#outbox.applied(partition, { seq, crc: frame.prev })) this.#progressed = true;
        return;
      case FRAME.rewind:
        return this.#rewind(partition, seq, decodeRewind(payload).reason);
      case FRAME.rejected:
        return this.#listener.rejected(partition, seq, decodeRejected(payload));
      case FRAME.credit: {
        const credit = decodeCredit(payload);
        return this.#credit(credit.bytes, credit.reason);
      }
      case FRAME.ping:
        return this.#connection.write(encodeFrame({ type: FRAME.pong, payload }));
      case FRAME.pong:
        return;
      case FRAME.goaway:
        return this.#drainFor(decodeGoaway(payload));
      case FRAME.error:
        return this.#end({ kind: 'refused', notice: decodeError(payload) }, 'at once');
      default:
        return this.#broken(`the server sent ${frameName(type)}, which only clients send`);
    }
  }

  #welcome(welcome: Welcome): void {
    if (this.#state !== 'greeting') return this.#broken('the server sent WELCOME twice');
    const error = this.#listener.welcomed(welcome);
    if (error !== undefined) return this.#end({ kind: 'unfit', error }, 'at once');
    this.#state = 'open';
    this.#outbox.begin(welcome.stored);
    this.#heartbeatMs = Math.max(1, welcome.heartbeatMs);
    this.#pulse?.cancel();
    this.#beat();
    this.#creditBytes = welcome.creditBytes;
    this.#listener.opened(welcome);
  }

  #rewind(partition: number, seq: number, reason: string): void {
    if (!this.#outbox.rewind(partition, seq)) {
      return this.#broken(`the server asks for seq ${seq} of partition ${partition}, which it had acknowledged as applied`);
    }
    this.#listener.rewound(partition, seq, reason);
  }

  #credit(bytes: number, reason: string | undefined): void {
    const was = this.#creditBytes;
    this.#creditBytes = bytes;
    if (bytes === 0) this.#listener.held(reason ?? 'the server takes nothing at the moment');
    else if (was === 0) this.#listener.held(undefined);
  }

  #drainFor(goaway: { readonly reason: string; readonly retryAfterMs: number }): void {
    if (this.#state !== 'open') return;
    this.#state = 'draining';
    this.#goaway = goaway;
    this.#deadline = this.#clock.setTimer(GOAWAY_MS, () => this.#end({ kind: 'goaway', ...goaway }, 'at once'));
  }

  #afterFrames(): void {
    if (this.#state === 'draining' && this.#outbox.outstandingBytes === 0) {
      this.#connection.write(encodeFrame({ type: FRAME.bye }));
      return this.#end({ kind: 'goaway', ...this.#goaway! }, 'graceful');
    }
    // Without credit the server may not have read its sinks, and APPLIEDs may be missing that it will find there.
    if (this.#state === 'open' && this.#outbox.diverged && this.#creditBytes > 0 && this.#outbox.isSettled) {
      return this.#end({ kind: 'settled' }, 'graceful');
    }
    this.pump();
  }

  #beat(): void {
    this.#pulse = this.#clock.setTimer(this.#heartbeatMs / 2, () => {
      const nowMs = this.#clock.monotonicMs();
      const silentMs = nowMs - this.#heardAtMs;
      if (silentMs >= this.#heartbeatMs * DEAD_HEARTBEATS) return this.#broken(`nothing was heard for ${Math.round(silentMs)} ms`);
      const { bufferedBytes } = this.#decoder;
      if (bufferedBytes > 0 && isStalled(bufferedBytes, nowMs - this.#unfinishedSinceMs, this.#heartbeatMs))
        return this.#broken(`of a frame only ${bufferedBytes} bytes came in ${Math.round(nowMs - this.#unfinishedSinceMs)} ms`);
      if (silentMs >= this.#heartbeatMs && !this.#pinged) {
        this.#pinged = true;
        this.#connection.write(encodeFrame({ type: FRAME.ping }));
      }
      this.#beat();
    });
  }

  #broken(reason: string): void {
    this.#end({ kind: 'broken', reason }, 'at once');
  }

  #isEnded(): boolean {
    return this.#state === 'ended';
  }

  #end(end: SessionEnd, how: 'graceful' | 'at once'): void {
    if (this.#state === 'ended') return;
    this.#state = 'ended';
    this.#pulse?.cancel();
    this.#deadline?.cancel();
    if (how === 'graceful') this.#connection.end();
    else this.#connection.destroy();
    this.#listener.ended(end);
  }
}
