import { connect, type Socket } from 'node:net';
import { FrameDecoder } from '../../src/protocol/frame-decoder.ts';
import { encodeFrame, FRAME, frameName } from '../../src/protocol/frame.ts';
import { decodeError, encodeHello } from '../../src/protocol/messages.ts';

/** A session that says HELLO from an address of its own on loopback, and answers PING. */
export class RawSession {
  readonly #socket: Socket;
  /** Names of the frames that came. */
  readonly frames: string[] = [];
  /** Code of the ERROR that ended it. */
  error: string | undefined;
  isClosed = false;

  /** `from` is any of 127.0.0.0/8: all of them are this machine. */
  constructor(port: number, from: string, stream: string, token = '') {
    const socket = connect({ port, host: '127.0.0.1', localAddress: from });
    const decoder = new FrameDecoder(1 << 22);
    socket.on('error', () => {});
    socket.on('close', () => void (this.isClosed = true));
    socket.on('data', (chunk: Buffer) => {
      decoder.push(chunk);
      for (let frame = decoder.next(); frame !== undefined; frame = decoder.next()) {
        this.frames.push(frameName(frame.type));
        if (frame.type === FRAME.error) this.error = decodeError(frame.payload).code;
        if (frame.type === FRAME.ping) socket.write(encodeFrame({ type: FRAME.pong, payload: frame.payload }));
      }
    });
    socket.write(encodeFrame({ type: FRAME.hello, payload: encodeHello({ v: 1, token, stream, oldest: new Map(), agent: 'raw' }) }));
    this.#socket = socket;
  }

  get isOpen(): boolean {
    return this.frames.includes('WELCOME') && !this.isClosed;
  }

  send(...frames: readonly Uint8Array[]): void {
    for (const frame of frames) this.#socket.write(frame);
  }

  close(): void {
    this.#socket.destroy();
  }
}
