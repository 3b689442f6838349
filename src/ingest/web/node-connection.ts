import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';
import type { ErrorCode } from '../../core/errors.ts';
import { type Connection, NOTICEABLE_BYTES, type Peer, type Receiver } from '../../core/network.ts';
import { encodeFrame, FRAME, PRE_AUTH_FRAME_BYTES } from '../../protocol/frame.ts';
import { isStalled } from '../../protocol/frame-pace.ts';
import { encodeError } from '../../protocol/messages.ts';
import { CLOSE } from './engine-options.ts';
import type { WebClient } from './node-exchange.ts';
import { isErrorFrame, TEXT_MESSAGE } from './frames.ts';

const BINARY = { binary: true } as const;
/** What is handed on while a long message comes: it brings nothing yet, and shows that the peer is there. */
const NOTHING = new Uint8Array(0);
/** The head of a frame of WebSocket, and a control frame: so much may wait without being a message. */
const IDLE_BYTES = 128;
const MAX_STRANGE_BYTES = PRE_AUTH_FRAME_BYTES + IDLE_BYTES;

/** A connection over a WebSocket of `ws`. */
export class NodeConnection implements Connection {
  readonly remoteAddress: string;
  readonly peer: Peer;
  readonly #ws: WebSocket;
  readonly #socket: Socket;
  #receiver: Receiver | undefined;
  #error: Error | undefined;
  /** What came before somebody took it, and whether the end came too. */
  #early: Uint8Array[] = [];
  #isClosed = false;
  #isEnded = false;
  #isGivenUp = false;
  #isCorked = false;
  /** Something was written that the system did not take at once, or much in one turn. */
  #hasGrown = false;
  #isPaused = false;
  #isLetIn = false;
  #endedWithError = false;
  /** What of the bytes received belongs to messages that are complete. */
  #completeBytes: number;
  #seenBytes: number;
  #unfinishedSinceMs: number | undefined;

  constructor(ws: WebSocket, socket: Socket, { remoteAddress, certificateNames }: WebClient, closed: (connection: NodeConnection) => void) {
    this.#ws = ws;
    this.#socket = socket;
    this.remoteAddress = remoteAddress;
    this.peer = { certificateNames };
    this.#completeBytes = socket.bytesRead;
    this.#seenBytes = socket.bytesRead;
    socket.on('data', this.#watchStranger);
    ws.on('message', (data, isBinary) => this.#received(data as Buffer, isBinary));
    ws.on('error', (error) => {
      this.#error = error;
      // The library has told the peer, and would wait half a minute for its answer.
      this.#isGivenUp = true;
    });
    ws.on('close', () => {
      this.#isClosed = true;
      closed(this);
      this.#receiver?.close(this.#error);
    });
  }

  get bufferedBytes(): number {
    return this.#ws.bufferedAmount;
  }

  /** Bytes of a message of which the end has not come. */
  get unfinishedBytes(): number {
    const bytes = this.#socket.bytesRead - this.#completeBytes;
    return bytes > IDLE_BYTES ? bytes : 0;
  }

  open(receiver: Receiver): void {
    this.#receiver = receiver;
    for (const chunk of this.#early.splice(0)) receiver.data(chunk);
    if (this.#isClosed) receiver.close(this.#error);
  }

  write(chunk: Uint8Array): void {
    if (this.#isEnded || this.#ws.readyState !== this.#ws.OPEN) return;
    this.#endedWithError = isErrorFrame(chunk);
    if (!this.#isCorked) {
      // What is written in one turn leaves in one system call.
      this.#isCorked = true;
      this.#socket.cork();
      process.nextTick(this.#uncork);
    }
    this.#ws.send(chunk, BINARY, this.#written);
  }

  letIn(): void {
    this.#isLetIn = true;
    this.#socket.off('data', this.#watchStranger);
  }

  pause(): void {
    this.#isPaused = true;
    this.#unfinishedSinceMs = undefined;
    this.#ws.pause();
  }

  resume(): void {
    this.#isPaused = false;
    this.#ws.resume();
  }

  end(): void {
    this.#end(this.#endedWithError ? CLOSE.policy : CLOSE.normal);
  }

  destroy(): void {
    this.#isEnded = true;
    this.#ws.terminate();
  }

  /** It was ended because of what its peer sent, or did not; it is cut off at the next {@link checkPace}, and holds nothing then. */
  get isGivenUp(): boolean {
    return this.#isGivenUp;
  }

  /** Ends the connection when the rest of a message comes too slowly. */
  checkPace(nowMs: number, heartbeatMs: number): void {
    // What still comes would be kept until the peer answers the close.
    if (this.#isGivenUp) return this.#ws.terminate();
    const { bytesRead } = this.#socket;
    if (this.#isEnded || this.#isPaused || this.unfinishedBytes === 0) {
      this.#unfinishedSinceMs = undefined;
      this.#seenBytes = bytesRead;
      return;
    }
    this.#unfinishedSinceMs ??= nowMs;
    const elapsedMs = nowMs - this.#unfinishedSinceMs;
    if (isStalled(this.unfinishedBytes, elapsedMs, heartbeatMs))
      return this.giveUp(`of a message only ${this.unfinishedBytes} bytes came in ${Math.round(elapsedMs)} ms`);
    if (bytesRead > this.#seenBytes) this.#receiver?.data(NOTHING);
    this.#seenBytes = bytesRead;
  }

  /** Ends the connection because of a message that does not come to its end. */
  giveUp(reason: string): void {
    if (this.#isEnded) return this.#ws.terminate();
    this.#fail('frame_unfinished', reason, CLOSE.policy);
  }

  #received(data: Buffer, isBinary: boolean): void {
    this.#completeBytes = this.#socket.bytesRead;
    this.#unfinishedSinceMs = undefined;
    if (this.#isEnded) return;
    if (!isBinary) return this.#fail('bad_frame', TEXT_MESSAGE, CLOSE.unsupported);
    if (this.#receiver === undefined) this.#early.push(data);
    else this.#receiver.data(data);
  }

  /** A message grows out of sight of whoever looks at frames: until its peer is let in, it has room for little more than a HELLO. */
  readonly #watchStranger = (): void => {
    if (!this.#isLetIn && this.unfinishedBytes > MAX_STRANGE_BYTES)
      this.#fail('frame_too_large', `a message of more than ${PRE_AUTH_FRAME_BYTES} bytes came before HELLO was accepted`, CLOSE.policy);
  };

  #fail(code: ErrorCode, message: string, closeCode: number): void {
    if (this.#isEnded) return;
    this.#isGivenUp = true;
    this.write(encodeFrame({ type: FRAME.error, payload: encodeError({ code, message }) }));
    this.#end(closeCode);
  }

  #end(code: number): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#ws.close(code);
    // The peer's answer to the close must be read.
    this.#ws.resume();
  }

  readonly #uncork = (): void => {
    this.#isCorked = false;
    if (this.bufferedBytes >= NOTICEABLE_BYTES) this.#hasGrown = true;
    this.#socket.uncork();
    if (this.bufferedBytes > 0) this.#hasGrown = true;
  };

  readonly #written = (): void => {
    if (!this.#hasGrown || this.bufferedBytes > 0 || this.#isClosed) return;
    this.#hasGrown = false;
    this.#receiver?.drain();
  };
}
