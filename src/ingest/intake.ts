// Hot path
import type { Clock } from '../core/clock.ts';
import { SyncError } from '../core/errors.ts';
import type { Connection } from '../core/network.ts';
import { FrameDecoder } from '../protocol/frame-decoder.ts';
import type { Frame } from '../protocol/frame.ts';
import { isStalled } from '../protocol/frame-pace.ts';

export interface IntakeEvents {
  frame(frame: Frame): void;
  /** What came is not frames, or {@link IntakeEvents.frame} threw. */
  failed(error: unknown): void;
  /** Reading stopped, or goes on: while it stands still, silence of the peer means nothing. */
  paused(): void;
  resumed(): void;
  /** Here are `deltaBytes` more, or less, beyond the {@link CHUNK_BYTES} that may wait in any connection. */
  waiting(deltaBytes: number): void;
}

/** Why a session does not read; it reads when there is no reason left. A bit each: there are many connections. */
const HOLDS = { auth: 1, opening: 2, window: 4, room: 8, turn: 16, pace: 32, answers: 64, pings: 128 } as const;
export type Hold = keyof typeof HOLDS;

/** Here it is we who cannot go on. Of a client that behaves no more than a chunk waits for any other reason. */
const OURS = HOLDS.room | HOLDS.turn;
/** What comes from a socket at a time. A message of WebSocket may be much longer. */
export const CHUNK_BYTES = 64 * 1024;

/**
 * Cuts what a connection brings into frames, and stands still while anything holds it: the peer is then held back by
 * flow control, and what was received already waits here, less than one frame and one chunk of it.
 */
export class Intake {
  readonly #connection: Connection;
  readonly #clock: Clock;
  readonly #events: IntakeEvents;
  readonly #decoder: FrameDecoder;
  #holds = 0;
  #putBack: Frame | undefined;
  #unfinishedBytes = 0;
  /** When the frame that is not complete began to come, or when we began to read again. */
  #unfinishedSinceMs = 0;
  /** Beyond {@link CHUNK_BYTES}, and since when there are any. */
  #waitingBytes = 0;
  #waitingSinceMs = 0;
  #isStopped = false;

  constructor(connection: Connection, clock: Clock, maxFrameBytes: number, events: IntakeEvents) {
    this.#connection = connection;
    this.#clock = clock;
    this.#events = events;
    this.#decoder = new FrameDecoder(maxFrameBytes);
  }

  set maxFrameBytes(bytes: number) {
    this.#decoder.maxFrameBytes = bytes;
    this.#connection.letIn?.();
  }

  /** What waits here beyond {@link CHUNK_BYTES}. */
  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  /**
   * Since when that is so because the peer owes the rest of a frame; -Infinity where it sent so much although it had to wait, and
   * Infinity where it is not through the peer.
   */
  get clogsSinceMs(): number {
    if (this.#waitingBytes === 0) return Infinity;
    if (this.#holds === 0) return this.#waitingSinceMs;
    return (this.#holds & ~OURS) === 0 ? Infinity : -Infinity;
  }

  /** What is wrong when the rest of a frame comes too slowly. While it is we who do not read, nothing is. */
  stallOf(heartbeatMs: number): SyncError | undefined {
    if (this.#unfinishedBytes === 0 || this.#holds !== 0) return undefined;
    const elapsedMs = this.#clock.monotonicMs() - this.#unfinishedSinceMs;
    if (!isStalled(this.#unfinishedBytes, elapsedMs, heartbeatMs)) return undefined;
    return new SyncError('frame_unfinished', `of a frame only ${this.#unfinishedBytes} bytes came in ${Math.round(elapsedMs)} ms`);
  }

  isHeld(hold: Hold): boolean {
    return (this.#holds & HOLDS[hold]) !== 0;
  }

  received(chunk: Uint8Array): void {
    if (this.#isStopped) return;
    this.#decoder.push(chunk);
    this.#pump();
  }

  hold(hold: Hold): void {
    if (this.#isStopped) return;
    if (this.#holds === 0) {
      this.#connection.pause();
      this.#events.paused();
    }
    this.#holds |= HOLDS[hold];
  }

  /** Handles what waits here; goes on reading unless that was held again. */
  release(hold: Hold): void {
    if (!this.isHeld(hold)) return;
    this.#holds &= ~HOLDS[hold];
    if (this.#isStopped || this.#holds !== 0) return;
    this.#unfinishedSinceMs = this.#waitingSinceMs = this.#clock.monotonicMs();
    this.#pump();
    if (this.#isStopped || this.#holds !== 0) return;
    this.#events.resumed();
    this.#connection.resume();
  }

  /** The frame that is being handled is handled again when `hold` is released. */
  putBack(frame: Frame, hold: Hold): void {
    this.#putBack = frame;
    this.hold(hold);
  }

  /** From now on what comes is read and thrown away. */
  stop(): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#putBack = undefined;
    this.#decoder.clear();
    this.#count();
    if (this.#holds !== 0) this.#connection.resume();
  }

  #pump(): void {
    let isNew = this.#unfinishedBytes === 0;
    try {
      while (this.#holds === 0 && !this.#isStopped) {
        const frame = this.#putBack ?? this.#decoder.next();
        if (frame === undefined) break;
        this.#putBack = undefined;
        isNew = true;
        this.#events.frame(frame);
      }
    } catch (error) {
      return this.#events.failed(error);
    }
    if (this.#isStopped) return;
    if (isNew) this.#unfinishedSinceMs = this.#clock.monotonicMs();
    this.#decoder.trim(CHUNK_BYTES);
    this.#count();
  }

  #count(): void {
    this.#unfinishedBytes = this.#decoder.bufferedBytes;
    // A frame that was put back lies in what the decoder keeps, or has memory of its own.
    const putBackBytes = this.#putBack?.bytes.length ?? 0;
    const keptBytes = Math.max(this.#decoder.retainedBytes, this.#unfinishedBytes + putBackBytes);
    const waitingBytes = Math.max(0, keptBytes - CHUNK_BYTES);
    const deltaBytes = waitingBytes - this.#waitingBytes;
    if (deltaBytes === 0) return;
    if (this.#waitingBytes === 0) this.#waitingSinceMs = this.#clock.monotonicMs();
    this.#waitingBytes = waitingBytes;
    this.#events.waiting(deltaBytes);
  }
}
