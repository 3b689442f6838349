import { strict as assert } from 'node:assert';
import { type Connection, NOTICEABLE_BYTES, type Receiver } from '../../core/network.ts';
import { encodeFrame, FRAME } from '../../protocol/frame.ts';
import { encodeError } from '../../protocol/messages.ts';
import { CLOSE } from './engine-options.ts';
import { isErrorFrame, TEXT_MESSAGE } from './frames.ts';
import type { UwsSocket } from './uws.ts';

/** What `send` answers when it threw the message away. */
const DROPPED = 2;

/**
 * A connection over a WebSocket of uWebSockets.js, which tells it what happens. Its peer cannot be held back: what it sends
 * meanwhile waits here, and a peer that sends more than its credit lets it is cut off.
 */
export class UwsConnection implements Connection {
  readonly remoteAddress: string;
  readonly #maxHeldBytes: number;
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

  constructor(remoteAddress: string, maxHeldBytes: number) {
    this.remoteAddress = remoteAddress;
    this.#maxHeldBytes = maxHeldBytes;
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
    this.#heldBytes += message.length;
    if (this.#heldBytes > this.#maxHeldBytes) this.#cut(`the peer sent ${this.#heldBytes} bytes more than it may`);
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
    this.#receiver?.close(this.#error);
  }

  #deliver(): void {
    while (this.#receiver !== undefined && !this.#isPaused && this.#held.length > 0) {
      const message = this.#held.shift()!;
      this.#heldBytes -= message.length;
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

  #cut(reason: string): void {
    this.#error ??= new Error(reason);
    this.destroy();
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
    if (isDropped) return this.#cut('the peer does not read what it is sent');
    if (this.bufferedBytes > 0) this.#hasGrown = true;
    // The engine calls back only for what the system did not take at once.
    else if (isMuch) process.nextTick(this.#tookMuch);
  };

  readonly #tookMuch = (): void => {
    if (!this.#isClosed) this.#receiver?.drain();
  };
}
