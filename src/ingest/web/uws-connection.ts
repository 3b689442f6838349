import { strict as assert } from 'node:assert';
import { type Connection, NOTICEABLE_BYTES, type Receiver } from '../../core/network.ts';
import { encodeFrame, FRAME } from '../../protocol/frame.ts';
import { encodeError } from '../../protocol/messages.ts';
import { CLOSE } from './engine-options.ts';
import { isErrorFrame, TEXT_MESSAGE } from './frames.ts';
import type { UwsSocket } from './uws.ts';

/** What `send` answers when it threw the message away. */
const DROPPED = 2;

/** What waits on all connections together, because whoever is to take it cannot yet. */
export class HeldBytes {
  /** What one connection may have waiting. */
  readonly most: number;
  readonly #mostTogether: number;
  readonly #holders = new Set<UwsConnection>();
  #bytes = 0;

  constructor(most: number, mostTogether: number) {
    this.most = most;
    this.#mostTogether = mostTogether;
  }

  changed(connection: UwsConnection, bytes: number): void {
    this.#bytes += bytes;
    if (connection.heldBytes > 0) this.#holders.add(connection);
    else this.#holders.delete(connection);
  }

  /** Cuts off who holds most when it is too much together. */
  check(): void {
    if (this.#bytes <= this.#mostTogether) return;
    let largest: UwsConnection | undefined;
    for (const one of this.#holders) if (one.heldBytes > (largest?.heldBytes ?? 0)) largest = one;
    largest?.cut(`what is not taken yet fills ${this.#mostTogether} bytes, of which this connection has most`);
  }
}

/**
 * A connection over a WebSocket of uWebSockets.js, which tells it what happens. Its peer cannot be held back: what it sends
 * meanwhile waits here, and a peer that sends more than its credit lets it is cut off.
 */
export class UwsConnection implements Connection {
  readonly remoteAddress: string;
  readonly #holding: HeldBytes;
  #socket: UwsSocket | undefined;
  #receiver: Receiver | undefined;
  #error: Error | undefined;
  #held: Uint8Array[] = [];
  #heldBytes = 0;
  #isPaused = false;
  #isClosed = false;
  #isEnded = false;
  #endedWithError = false;
  #hasGrown = false;
  /** What was written in this turn; it leaves in one system call. */
  #written: Uint8Array[] = [];
  #writtenBytes = 0;

  constructor(remoteAddress: string, holding: HeldBytes) {
    this.remoteAddress = remoteAddress;
    this.#holding = holding;
  }

  get bufferedBytes(): number {
    return this.#isClosed || this.#socket === undefined ? 0 : this.#socket.getBufferedAmount() + this.#writtenBytes;
  }

  open(receiver: Receiver): void {
    this.#receiver = receiver;
    this.#deliver();
    if (this.#isClosed) receiver.close(this.#error);
  }

  write(chunk: Uint8Array): void {
    if (this.#isEnded || this.#isClosed) return;
    this.#endedWithError = isErrorFrame(chunk);
    this.#written.push(chunk);
    this.#writtenBytes += chunk.length;
    if (this.#written.length === 1) process.nextTick(this.#flush);
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.#deliver();
  }

  end(): void {
    this.#end(this.#endedWithError ? CLOSE.policy : CLOSE.normal);
  }

  destroy(): void {
    this.#isEnded = true;
    if (!this.#isClosed) this.#socket?.close();
  }

  /** For the engine: it is connected. */
  opened(socket: UwsSocket): void {
    this.#socket = socket;
  }

  /** For the engine: `message` is ours. */
  received(message: Uint8Array, isBinary: boolean): void {
    if (this.#isEnded) return;
    if (!isBinary) {
      this.write(encodeFrame({ type: FRAME.error, payload: encodeError({ code: 'bad_frame', message: TEXT_MESSAGE }) }));
      return this.#end(CLOSE.unsupported);
    }
    if (this.#receiver !== undefined && !this.#isPaused && this.#held.length === 0) return this.#receiver.data(message);
    this.#held.push(message);
    this.#hold(message.length);
    if (this.#heldBytes > this.#holding.most) this.cut(`the peer sent ${this.#heldBytes} bytes more than it may`);
    else this.#holding.check();
  }

  /** What waits here for somebody to take it. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** Cuts it off. */
  cut(reason: string): void {
    this.#error ??= new Error(reason);
    this.destroy();
  }

  /** For the engine: the system takes more. */
  drained(): void {
    if (!this.#hasGrown || this.bufferedBytes > 0) return;
    this.#hasGrown = false;
    this.#receiver?.drain();
  }

  /** For the engine: it is closed. */
  closed(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#written = [];
    // What came before the end is still taken, unless that is what is in the way.
    if (!this.#isPaused) this.#deliver();
    this.#held = [];
    this.#hold(-this.#heldBytes);
    this.#receiver?.close(this.#error);
  }

  #deliver(): void {
    while (this.#receiver !== undefined && !this.#isPaused && this.#held.length > 0) {
      const message = this.#held.shift()!;
      this.#hold(-message.length);
      this.#receiver.data(message);
    }
  }

  #end(code: number): void {
    if (this.#isEnded || this.#isClosed) return;
    this.#flush();
    this.#isEnded = true;
    // Closed meanwhile, where a frame was dropped.
    if (!this.#isClosed) this.#socket?.end(code);
  }

  #hold(bytes: number): void {
    this.#heldBytes += bytes;
    this.#holding.changed(this, bytes);
  }

  readonly #flush = (): void => {
    const written = this.#written;
    const isMuch = this.#writtenBytes >= NOTICEABLE_BYTES;
    this.#written = [];
    this.#writtenBytes = 0;
    if (written.length === 0 || this.#isClosed) return;
    const socket = this.#socket;
    assert(socket !== undefined, 'nobody writes before it is connected');
    let isDropped = false;
    socket.cork(() => {
      for (const chunk of written) isDropped ||= socket.send(chunk, true) === DROPPED;
    });
    // Frames after one that is missing make no sense.
    if (isDropped) return this.cut('the peer does not read what it is sent');
    if (this.bufferedBytes > 0) this.#hasGrown = true;
    // The engine calls back only for what the system did not take at once.
    else if (isMuch) process.nextTick(this.#tookMuch);
  };

  readonly #tookMuch = (): void => {
    if (!this.#isClosed) this.#receiver?.drain();
  };
}
