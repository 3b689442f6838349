import type { Socket } from 'node:net';
import { afterEach, expect } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import type { SyncError } from '../../src/core/errors.ts';
import { systemRandom } from '../../src/core/random.ts';
import { Appender } from '../../src/ingest/appender.ts';
import type { IngestSettings } from '../../src/ingest/context.ts';
import type { Listener } from '../../src/ingest/listener.ts';
import { createAuthenticator, hashToken } from '../../src/ingest/producers.ts';
import { Sessions } from '../../src/ingest/sessions.ts';
import { FrameDecoder } from '../../src/protocol/frame-decoder.ts';
import { encodeFrame, FRAME, type Frame, type FrameFields } from '../../src/protocol/frame.ts';
import { encodeHello } from '../../src/protocol/messages.ts';
import { createMemoryQueue, type MemoryQueue } from '../../src/queue/memory.ts';
import { eventually } from '../support/eventually.ts';
import { describeFrame, type FrameChain, SETTINGS, STREAM, TestProgress } from '../support/ingest-world.ts';
import type { DialOptions, ListenerSubject, Wire } from './listener-subjects.ts';

export const OTHER = 'f'.repeat(32);
export const TOKEN = 'shop.secret';

export interface DoorOptions {
  readonly settings?: Partial<IngestSettings>;
  readonly maxInFlightBytes?: number;
  readonly proxyFrom?: readonly string[];
}

export interface Door {
  readonly listener: Omit<Listener, 'name'>;
  readonly sessions: Sessions;
  readonly queue: MemoryQueue;
  readonly progress: TestProgress;
  readonly appender: Appender;
  /** Connections of balancers that were refused. */
  readonly refusals: { readonly balancer: string; readonly error: SyncError }[];
  dial(options?: DialOptions): Promise<RawClient>;
  /** Connects, says HELLO and waits for WELCOME. */
  open(stream?: string): Promise<RawClient>;
}

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

/** Closed after the test, in the opposite order. */
export function closeLater(close: () => unknown): void {
  closers.push(close);
}

/** A listener on a free port with everything behind it. */
export async function startDoor(subject: ListenerSubject, options: DoorOptions = {}): Promise<Door> {
  const { settings = {}, maxInFlightBytes = 8_388_608, proxyFrom = [] } = options;
  const queue = createMemoryQueue(
    { partitions: 4, sinks: [{ name: 'main', required: true }], mapping: '' },
    { clock: systemClock, random: systemRandom },
  );
  const progress = new TestProgress();
  const log = { info: () => {}, warn: () => {}, error: () => {} };
  const appender = new Appender({ queue, clock: systemClock, random: systemRandom, log, maxInFlightBytes, onStored: () => {} });
  const merged = { ...SETTINGS, ...settings };
  const sessions = new Sessions({
    node: 'node-1',
    clock: systemClock,
    random: systemRandom,
    queue,
    progress,
    appender,
    log,
    authenticator: createAuthenticator({ producers: [{ name: 'shop', tokens: [hashToken(TOKEN)] }] }),
    settings: merged,
    tables: async () => new Map(),
    onWaiting: () => {},
  });
  const refusals: Door['refusals'] = [];
  const refused = (balancer: string, error: SyncError) => void refusals.push({ balancer, error });
  const proxy = { from: proxyFrom, clock: systemClock, refused };
  const listener = subject.create({ host: '127.0.0.1', port: 0, settings: merged, log, proxy }, (connection) =>
    sessions.accept(connection),
  );
  await listener.start();
  closeLater(() => sessions.close());
  closeLater(() => listener.close());
  const dial = async (dialOptions?: DialOptions) => {
    const client = new RawClient();
    const wire = await subject.dial(listener.address.port, (bytes) => client.received(bytes), dialOptions);
    closeLater(() => wire.socket.destroy());
    client.connected(wire);
    return client;
  };
  const open = async (stream = STREAM) => {
    const client = await dial();
    client.hello({ stream });
    await client.got('WELCOME');
    return client;
  };
  return { listener, sessions, queue, progress, appender, refusals, dial, open };
}

/** A raw client: frames in, descriptions of frames out. */
export class RawClient {
  readonly frames: Frame[] = [];
  readonly #decoder = new FrameDecoder(1 << 26);
  #wire: Wire | undefined;
  #changed = () => {};
  isClosed = false;

  connected(wire: Wire): void {
    this.#wire = wire;
    wire.socket.on('close', () => {
      this.isClosed = true;
      this.#changed();
    });
    this.isClosed = wire.socket.destroyed;
  }

  received(bytes: Buffer): void {
    this.#decoder.push(bytes);
    for (let frame = this.#decoder.next(); frame !== undefined; frame = this.#decoder.next()) this.frames.push(frame);
    this.#changed();
  }

  get wire(): Wire {
    if (this.#wire === undefined) throw new Error('the client is not connected');
    return this.#wire;
  }

  get socket(): Socket {
    return this.wire.socket;
  }

  write(bytes: Uint8Array): void {
    this.wire.write(bytes);
  }

  hello(fields: { token?: string; stream?: string; oldest?: ReadonlyMap<number, number>; v?: number } = {}): void {
    const { token = TOKEN, stream = STREAM, oldest = new Map<number, number>(), v = 1 } = fields;
    this.send({ type: FRAME.hello, payload: encodeHello({ v, token, stream, oldest, agent: 'raw' }) });
  }

  send(fields: FrameFields): void {
    this.write(encodeFrame(fields));
  }

  get lines(): string[] {
    return this.frames.filter(({ type }) => type !== FRAME.ping).map(describeFrame);
  }

  /** Resolves when `line` has come; rejects when the connection closes without it. */
  async got(line: string): Promise<void> {
    await this.until(() => this.lines.includes(line), `${line} among ${this.lines.join(', ') || 'nothing'}`);
  }

  async closed(): Promise<void> {
    while (!this.isClosed) await new Promise<void>((resolve) => void (this.#changed = resolve));
  }

  async until(isTrue: () => boolean, what: string): Promise<void> {
    while (!isTrue()) {
      if (this.isClosed) throw new Error(`the connection closed without ${what}; it brought ${this.lines.join(', ') || 'nothing'}`);
      await new Promise<void>((resolve) => void (this.#changed = resolve));
    }
  }
}

/** The server sees the end of a connection a little after the client. */
export async function emptied(door: Door, size: number): Promise<void> {
  await eventually(() => expect(door.sessions.size).toBe(size), 5_000, 5);
}

/** Shows that a session that was there before still stores and acknowledges. */
export async function expectUnharmed(client: RawClient, chain: FrameChain): Promise<void> {
  client.write(chain.add());
  await client.got(`STORED ${chain.partition}:${chain.frames.length}`);
}
