import { connect, type Socket } from 'node:net';
import { FrameDecoder } from '../../src/protocol/frame-decoder.ts';
import { DEFAULT_MAX_FRAME_BYTES, encodeFrame, FRAME, type Frame, frameName } from '../../src/protocol/frame.ts';
import { decodeCredit, decodeError, decodeRejected, decodeRewind, decodeWelcome, encodeHello } from '../../src/protocol/messages.ts';
import { WebSocketPeer } from '../../test/support/web-socket-peer.ts';
import type { SenderPlan } from './sender-messages.ts';
import { piecesOf, type Tape } from './tape.ts';
import { asMessages, messageOf } from './web-socket-tape.ts';

/** What a connection tells whoever opened it. */
export interface FrameConnectionEvents {
  /** So many more frames are stored, or applied. */
  stored(frames: number): void;
  applied(frames: number): void;
  /** Anything that must not happen while something is measured: a refusal, a rewind, an end. */
  failed(error: Error): void;
}

/** Written in one call at most. */
const WRITE_BYTES = 256 * 1024;
/** Handed to the socket and not sent yet, at most. */
const SOCKET_BYTES = 1024 * 1024;

/**
 * Plays a tape to a server, within its credit, with as little work as possible: many frames in one write, and
 * acknowledgements only counted.
 */
export class FrameConnection {
  readonly #socket: Socket;
  readonly #tape: Tape;
  readonly #events: FrameConnectionEvents;
  readonly #decoder = new FrameDecoder(DEFAULT_MAX_FRAME_BYTES);
  /** By partition: the index on the tape of frame seq − 1, and the bytes of all frames up to it. */
  readonly #places: { readonly frames: number[]; readonly bytes: number[]; stored: number; applied: number }[] = [];
  readonly #opened = Promise.withResolvers<void>();
  #creditBytes = 0;
  #sentFrames = 0;
  #storedBytes = 0;
  /** Up to here the tape may be played. */
  #due = 0;
  /** When each frame was sent and applied, ms; only while somebody wants to know. */
  #timing: { readonly sentMs: Float64Array; applied(frame: number, sentMs: number): void } | undefined;

  /** `localAddress` is where it comes from. */
  constructor({ host, port, carrier, token }: SenderPlan, localAddress: string, frames: Tape, events: FrameConnectionEvents) {
    const tape = carrier === 'websocket' ? asMessages(frames) : frames;
    this.#tape = tape;
    this.#events = events;
    let start = 0;
    for (const [index, end] of tape.ends.entries()) {
      const place = (this.#places[tape.partitions[index] as number] ??= { frames: [], bytes: [], stored: 0, applied: 0 });
      place.bytes.push((place.bytes.at(-1) ?? 0) + end - start);
      place.frames.push(index);
      start = end;
    }
    this.#socket = connect({ host, port, localAddress, noDelay: true });
    this.#socket.on('error', (error) => this.#fail(error));
    this.#socket.on('close', () => this.#fail(new Error('the server closed the connection')));
    this.#socket.on('drain', () => this.#pump());
    const payload = encodeHello({ v: 1, token, stream: tape.stream, oldest: new Map(), agent: 'syncline-bench' });
    const hello = encodeFrame({ type: FRAME.hello, payload });
    if (carrier !== 'websocket') {
      this.#socket.on('data', (chunk: Buffer) => this.#receive(chunk));
      this.#socket.write(hello);
      return;
    }
    this.#write = (frame) => void this.#socket.write(messageOf(frame));
    const upgraded = WebSocketPeer.upgrade(this.#socket, (chunk) => this.#receive(chunk));
    upgraded.then(
      () => this.#write(hello),
      (error: Error) => this.#fail(error),
    );
  }

  /** Of a single frame. */
  #write: (frame: Uint8Array) => void = (frame) => void this.#socket.write(frame);

  /** Resolves when the server has taken the stream in. */
  opened(): Promise<void> {
    return this.#opened.promise;
  }

  get frames(): number {
    return this.#tape.ends.length;
  }

  /** Sends the tape up to `frame` as credit allows. */
  play(frame: number = this.frames): void {
    this.#due = frame;
    this.#pump();
  }

  /** From now on `applied` is called with every frame that is applied, and when it was sent. */
  time(applied: (frame: number, sentMs: number) => void): void {
    this.#timing = { sentMs: new Float64Array(this.frames), applied };
  }

  close(): void {
    this.#socket.removeAllListeners('close');
    this.#socket.destroy();
  }

  #pump(): void {
    const { ends } = this.#tape;
    while (this.#sentFrames < this.#due && this.#socket.writableLength < SOCKET_BYTES) {
      const start = this.#sentFrames === 0 ? 0 : (ends[this.#sentFrames - 1] as number);
      const limit = Math.min(start + WRITE_BYTES, this.#storedBytes + this.#creditBytes);
      let next = this.#sentFrames;
      while (next < this.#due && (ends[next] as number) <= limit) next++;
      if (next === this.#sentFrames) return;
      if (this.#timing !== undefined) this.#timing.sentMs.fill(performance.now(), this.#sentFrames, next);
      this.#socket.cork();
      for (const piece of piecesOf(this.#tape, this.#sentFrames, next)) this.#socket.write(piece);
      this.#socket.uncork();
      this.#sentFrames = next;
    }
  }

  #receive(chunk: Buffer): void {
    this.#decoder.push(chunk);
    for (let frame = this.#decoder.next(); frame !== undefined; frame = this.#decoder.next()) this.#handle(frame);
    this.#pump();
  }

  #handle(frame: Frame): void {
    const { type, partition, seq, payload } = frame;
    if (type === FRAME.stored) this.#stored(partition, seq);
    else if (type === FRAME.applied) this.#applied(partition, seq);
    else if (type === FRAME.credit) this.#creditBytes = decodeCredit(payload).bytes;
    else if (type === FRAME.ping) this.#write(encodeFrame({ type: FRAME.pong, payload }));
    else if (type === FRAME.welcome) {
      this.#creditBytes = decodeWelcome(payload).creditBytes;
      this.#opened.resolve();
    } else this.#fail(new Error(`the server sent ${describe(frame)}`));
  }

  #stored(partition: number, seq: number): void {
    const place = this.#places[partition];
    if (place === undefined || seq <= place.stored) return;
    this.#storedBytes += (place.bytes[seq - 1] as number) - (place.bytes[place.stored - 1] ?? 0);
    const frames = seq - place.stored;
    place.stored = seq;
    this.#events.stored(frames);
  }

  #applied(partition: number, seq: number): void {
    const place = this.#places[partition];
    if (place === undefined || seq <= place.applied) return;
    // APPLIED counts as STORED.
    this.#stored(partition, seq);
    if (this.#timing !== undefined) {
      for (let i = place.applied; i < seq; i++) {
        const frame = place.frames[i] as number;
        this.#timing.applied(frame, this.#timing.sentMs[frame] as number);
      }
    }
    const frames = seq - place.applied;
    place.applied = seq;
    this.#events.applied(frames);
  }

  #fail(error: Error): void {
    this.#opened.reject(error);
    this.#events.failed(error);
  }
}

function describe({ type, payload }: Frame): string {
  if (type === FRAME.error) return `ERROR ${decodeError(payload).code}: ${decodeError(payload).message}`;
  if (type === FRAME.rejected) return `REJECTED ${decodeRejected(payload).code}: ${decodeRejected(payload).message}`;
  if (type === FRAME.rewind) return `REWIND: ${decodeRewind(payload).reason}`;
  return frameName(type);
}
