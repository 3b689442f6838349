// Hot path
import type { Connection } from '../core/network.ts';
import { FrameDecoder } from '../protocol/frame-decoder.ts';
import type { Frame } from '../protocol/frame.ts';

export interface IntakeEvents {
  frame(frame: Frame): void;
  /** What came is not frames, or {@link IntakeEvents.frame} threw. */
  failed(error: unknown): void;
  /** Reading stopped, or goes on: while it stands still, silence of the peer means nothing. */
  paused(): void;
  resumed(): void;
}

/** Why a session does not read; it reads when there is no reason left. */
export type Hold = 'auth' | 'opening' | 'window' | 'room';

/**
 * Cuts what a connection brings into frames, and stands still while anything holds it: the peer is then held back by
 * flow control, and what was received already waits here, less than one frame and one chunk of it.
 */
export class Intake {
  readonly #connection: Connection;
  readonly #events: IntakeEvents;
  readonly #decoder: FrameDecoder;
  readonly #holds = new Set<Hold>();
  #putBack: Frame | undefined;
  #stopped = false;

  constructor(connection: Connection, maxFrameBytes: number, events: IntakeEvents) {
    this.#connection = connection;
    this.#events = events;
    this.#decoder = new FrameDecoder(maxFrameBytes);
  }

  set maxFrameBytes(bytes: number) {
    this.#decoder.maxFrameBytes = bytes;
  }

  /** Received, and in no frame yet. */
  get bufferedBytes(): number {
    return this.#decoder.bufferedBytes;
  }

  isHeld(hold: Hold): boolean {
    return this.#holds.has(hold);
  }

  received(chunk: Uint8Array): void {
    if (this.#stopped) return;
    this.#decoder.push(chunk);
    this.#pump();
  }

  hold(hold: Hold): void {
    if (this.#stopped) return;
    if (this.#holds.size === 0) {
      this.#connection.pause();
      this.#events.paused();
    }
    this.#holds.add(hold);
  }

  /** Handles what waits here; goes on reading unless that was held again. */
  release(hold: Hold): void {
    if (!this.#holds.delete(hold) || this.#stopped || this.#holds.size > 0) return;
    this.#pump();
    if (this.#stopped || this.#holds.size > 0) return;
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
    if (this.#stopped) return;
    this.#stopped = true;
    this.#putBack = undefined;
    if (this.#holds.size > 0) this.#connection.resume();
  }

  #pump(): void {
    try {
      while (this.#holds.size === 0 && !this.#stopped) {
        const frame = this.#putBack ?? this.#decoder.next();
        if (frame === undefined) return;
        this.#putBack = undefined;
        this.#events.frame(frame);
      }
    } catch (error) {
      this.#events.failed(error);
    }
  }
}
