import type { Connection, Dialer, Receiver } from '../../src/core/network.ts';
import { FrameDecoder } from '../../src/protocol/frame-decoder.ts';
import { encodeFrame, FRAME, type Frame, type FrameFields } from '../../src/protocol/frame.ts';
import {
  decodeHello,
  encodeCredit,
  encodeError,
  encodeGoaway,
  encodeRejected,
  encodeRewind,
  encodeWelcome,
  type Hello,
  type Rejected,
  type Welcome,
} from '../../src/protocol/messages.ts';
import type { Place } from '../../src/core/stream.ts';

/** A network in which a client dials and the test answers. Bytes arrive at once, in both directions. */
export class FakeNetwork {
  readonly dialer: Dialer;
  readonly links: FakeLink[] = [];
  /** Set: dialling fails with it. */
  refusal: string | undefined;
  /** Called for every connection that is made. */
  onConnect: (link: FakeLink) => void = () => {};

  constructor() {
    this.dialer = {
      connect: (signal) => {
        if (signal.aborted) return Promise.reject(signal.reason as Error);
        if (this.refusal !== undefined) return Promise.reject(new Error(this.refusal));
        const link = new FakeLink();
        this.links.push(link);
        this.onConnect(link);
        return Promise.resolve(link.clientSide);
      },
    };
  }

  /** The newest connection. */
  get link(): FakeLink {
    const link = this.links.at(-1);
    if (link === undefined) throw new Error('the client has not dialled');
    return link;
  }
}

export const WELCOME: Welcome = {
  v: 1,
  node: 'node-1',
  producer: 'shop',
  partitions: 4,
  maxFrameBytes: 65_536,
  creditBytes: 262_144,
  heartbeatMs: 10_000,
  stored: new Map(),
  tables: new Map([
    ['cities', { key: ['id'] }],
    ['orders', { key: ['id'], partitionBy: { group: 'order', columns: ['id'] } }],
    ['lines', { key: ['order_id', 'line'], partitionBy: { group: 'order', columns: ['order_id'] } }],
  ]),
};

/** One connection, from the server's end. */
export class FakeLink {
  readonly clientSide: Connection;
  /** What the client sent, as frames, HELLO left out. */
  readonly frames: Frame[] = [];
  hello: Hello | undefined;
  /** What the client's end says it has not handed to the network. */
  bufferedBytes = 0;
  isClosed = false;
  /** Called for every frame of the client, HELLO included. */
  onFrame: (frame: Frame) => void = () => {};
  onClose: () => void = () => {};
  readonly #decoder = new FrameDecoder(1 << 26);
  #receiver: Receiver | undefined;
  #undelivered: Uint8Array[] = [];

  constructor() {
    const bufferedBytes = () => this.bufferedBytes;
    this.clientSide = {
      remoteAddress: '127.0.0.1',
      get bufferedBytes() {
        return bufferedBytes();
      },
      open: (receiver) => {
        this.#receiver = receiver;
        for (const chunk of this.#undelivered.splice(0)) receiver.data(chunk);
      },
      write: (chunk) => this.#received(chunk),
      pause: () => {},
      resume: () => {},
      end: () => this.#close(undefined),
      destroy: () => this.#close(undefined),
    };
  }

  /** The BATCH frames that came since the last call. */
  batches(): Frame[] {
    const batches = this.frames.filter((frame) => frame.type === FRAME.batch);
    const others = this.frames.filter((frame) => frame.type !== FRAME.batch);
    this.frames.splice(0, this.frames.length, ...others);
    return batches;
  }

  types(): number[] {
    return this.frames.map((frame) => frame.type);
  }

  sendBytes(bytes: Uint8Array): void {
    if (this.isClosed) return;
    const chunk = Uint8Array.from(bytes);
    if (this.#receiver === undefined) this.#undelivered.push(chunk);
    else this.#receiver.data(chunk);
  }

  send(fields: FrameFields): void {
    this.sendBytes(encodeFrame(fields));
  }

  welcome(changes: Partial<Welcome> = {}): void {
    this.send({ type: FRAME.welcome, payload: encodeWelcome({ ...WELCOME, ...changes }) });
  }

  stored(partition: number, { seq, crc }: Place): void {
    this.send({ type: FRAME.stored, partition, seq, prev: crc });
  }

  applied(partition: number, { seq, crc }: Place): void {
    this.send({ type: FRAME.applied, partition, seq, prev: crc });
  }

  rewind(partition: number, seq: number, reason = 'a test'): void {
    this.send({ type: FRAME.rewind, partition, seq, payload: encodeRewind({ reason }) });
  }

  rejected(partition: number, seq: number, rejected: Partial<Rejected> = {}): void {
    const payload = encodeRejected({ sink: 'main', code: 'too_long', message: 'a test', changes: [0], ...rejected });
    this.send({ type: FRAME.rejected, partition, seq, payload });
  }

  credit(bytes: number, reason?: string): void {
    this.send({ type: FRAME.credit, payload: encodeCredit(reason === undefined ? { bytes } : { bytes, reason }) });
  }

  goaway(retryAfterMs: number): void {
    this.send({ type: FRAME.goaway, payload: encodeGoaway({ reason: 'a test', retryAfterMs }) });
  }

  /** ERROR, and the end of the connection. */
  error(code: string, missing?: ReadonlyMap<number, number>): void {
    this.send({ type: FRAME.error, payload: encodeError({ code, message: 'a test', ...(missing && { missing }) }) });
    this.drop();
  }

  /** Breaks the connection. */
  drop(): void {
    this.#close(new Error('the connection was reset'));
  }

  /** The client's end has room again. */
  drain(): void {
    this.bufferedBytes = 0;
    this.#receiver?.drain();
  }

  #received(chunk: Uint8Array): void {
    if (this.isClosed) return;
    this.#decoder.push(Uint8Array.from(chunk));
    for (let frame = this.#decoder.next(); frame !== undefined; frame = this.#decoder.next()) {
      if (frame.type === FRAME.hello) this.hello = decodeHello(frame.payload);
      else this.frames.push(frame);
      this.onFrame(frame);
    }
  }

  #close(error: Error | undefined): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.#receiver?.close(error);
    this.onClose();
  }
}

export function placeOf(frame: Frame): Place {
  return { seq: frame.seq, crc: frame.crc };
}
