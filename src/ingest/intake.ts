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
  /** Here are `deltaBytes` more, or less, of what is in no frame yet. */
  unfinished(deltaBytes: number): void;
}

/** Why a session does not read; it reads when there is no reason left. */
export type Hold = 'auth' | 'opening' | 'window' | 'room' | 'turn' | 'pace' | 'answers' | 'pings';

/**
 * Cuts what a connection brings into frames, and stands still while anything holds it: the peer is then held back by
 * flow control, and what was received already waits here, less than one frame and one chunk of it.
 */
export class Intake {
  readonly #connection: Connection;
  readonly #clock: Clock;
  readonly #events: IntakeEvents;
  readonly #decoder: FrameDecoder;
  readonly #holds = new Set<Hold>();
  #putBack: Frame | undefined;
  #unfinishedBytes = 0;
  /** When the frame that is not complete began to come, or when we began to read again. */
  #unfinishedSinceMs = 0;
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

  /** Since when the peer owes the rest of a frame; undefined when it does not, or when it is we who do not read. */
  get owesSinceMs(): number | undefined {
    return this.#unfinishedBytes === 0 || this.#holds.size > 0 ? undefined : this.#unfinishedSinceMs;
  }

  /** What is wrong when the rest of a frame comes too slowly. */
  stallOf(heartbeatMs: number): SyncError | undefined {
    const since = this.owesSinceMs;
    if (since === undefined) return undefined;
    const elapsedMs = this.#clock.monotonicMs() - since;
    if (!isStalled(this.#unfinishedBytes, elapsedMs, heartbeatMs)) return undefined;
    return new SyncError('frame_unfinished', `of a frame only ${this.#unfinishedBytes} bytes came in ${Math.round(elapsedMs)} ms`);
  }

  isHeld(hold: Hold): boolean {
    return this.#holds.has(hold);
  }

  received(chunk: Uint8Array): void {
    if (this.#isStopped) return;
    this.#decoder.push(chunk);
    this.#pump();
  }

  hold(hold: Hold): void {
    if (this.#isStopped) return;
    if (this.#holds.size === 0) {
      this.#connection.pause();
      this.#events.paused();
    }
    this.#holds.add(hold);
  }

  /** Handles what waits here; goes on reading unless that was held again. */
  release(hold: Hold): void {
    if (!this.#holds.delete(hold) || this.#isStopped || this.#holds.size > 0) return;
    this.#unfinishedSinceMs = this.#clock.monotonicMs();
    this.#pump();
    if (this.#isStopped || this.#holds.size > 0) return;
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
    this.#countUnfinished(0);
    if (this.#holds.size > 0) this.#connection.resume();
  }

  #pump(): void {
    let isNew = this.#unfinishedBytes === 0;
    try {
      while (this.#holds.size === 0 && !this.#isStopped) {
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
    this.#countUnfinished(this.#decoder.bufferedBytes);
  }

  #countUnfinished(bytes: number): void {
    const deltaBytes = bytes - this.#unfinishedBytes;
    if (deltaBytes === 0) return;
    this.#unfinishedBytes = bytes;
    this.#events.unfinished(deltaBytes);
  }
}
