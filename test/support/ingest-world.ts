import { type ErrorCode, SyncError } from '../../src/core/errors.ts';
import type { Connection, Peer, Receiver } from '../../src/core/network.ts';
import type { Random } from '../../src/core/random.ts';
import type { Place, StreamId } from '../../src/core/stream.ts';
import { Appender } from '../../src/ingest/appender.ts';
import type { Authenticator, IngestSettings, Log } from '../../src/ingest/context.ts';
import type { Advance, Progress, SinkRejection, StreamProgress } from '../../src/core/progress.ts';
import { Sessions } from '../../src/ingest/sessions.ts';
import { encodeBatch } from '../../src/protocol/batch.ts';
import { FrameDecoder } from '../../src/protocol/frame-decoder.ts';
import { encodeFrame, FRAME, type Frame, type FrameFields, frameCrc, frameName } from '../../src/protocol/frame.ts';
import { decodeCredit, decodeError, decodeGoaway, decodeRejected, encodeHello } from '../../src/protocol/messages.ts';
import { createMemoryQueue, type MemoryQueue } from '../../src/queue/memory.ts';
import type { Admission, AppendEntry, AppendResult, Queue } from '../../src/queue/queue.ts';
import { SeededRandom } from './seeded-random.ts';
import { VirtualClock } from './virtual-clock.ts';

export const STREAM: StreamId = '0123456789abcdef0123456789abcdef';
export const PARTITIONS = 4;

/** Everything around the sessions, on time that the test moves: a memory queue, a sink's progress, connections. */
export interface World {
  readonly clock: VirtualClock;
  readonly queue: FaultyQueue;
  readonly progress: TestProgress;
  readonly appender: Appender;
  /** What sessions work with; authenticator and settings may be exchanged. */
  readonly context: { authenticator: Authenticator; settings: IngestSettings };
  readonly sessions: Sessions;
  /** Partitions that somebody was called for, in order. */
  readonly waiting: number[];
  readonly woken: number[];
  readonly logged: { readonly level: string; readonly message: string; readonly fields: object }[];
  connect(address?: string, peer?: Peer): TestPeer;
  /** Connects and says HELLO; resolves when the session is open. */
  open(hello?: TestHello, address?: string, peer?: Peer): Promise<TestPeer>;
}

export interface TestHello {
  readonly stream?: StreamId;
  readonly token?: string;
  readonly oldest?: ReadonlyMap<number, number>;
  readonly left?: readonly StreamId[];
}

export interface WorldOptions {
  readonly settings?: Partial<IngestSettings>;
  readonly authenticator?: Authenticator;
  readonly maxInFlightBytes?: number;
  readonly queueBytes?: number;
}

export const SETTINGS: IngestSettings = {
  maxConnections: 100,
  maxConnectionsPerAddress: 80,
  maxFrameBytes: 65_536,
  creditBytes: 262_144,
  authTimeoutMs: 5_000,
  heartbeatMs: 10_000,
  limits: { maxConnections: 100, maxBatchChanges: 65_536 },
  producerLimits: new Map(),
};

/** Tokens are `token-of-NAME`. */
const tokenOfName: Authenticator = {
  authenticate: (token) => Promise.resolve(token.startsWith('token-of-') ? token.slice('token-of-'.length) : undefined),
  // Tests of what becomes of tokens have producers of their own.
  producerOf: () => undefined,
  accessOf: () => undefined,
};

export function createWorld(options: WorldOptions = {}): World {
  const clock = new VirtualClock();
  const seeded = new SeededRandom(7);
  const random: Random = {
    fill: (target) => {
      for (let i = 0; i < target.length; i++) target[i] = seeded.below(256);
    },
    fraction: () => seeded.fraction(),
  };
  const settings = { partitions: PARTITIONS, sinks: [{ name: 'main', required: true }], mapping: '' };
  const memory = createMemoryQueue(settings, {
    clock,
    random,
    ...(options.queueBytes === undefined ? {} : { maxBytes: options.queueBytes }),
  });
  const queue = new FaultyQueue(memory);
  const progress = new TestProgress();
  const waiting: number[] = [];
  const woken: number[] = [];
  const logged: { level: string; message: string; fields: object }[] = [];
  const line = (level: string) => (fields: object, message: string) => void logged.push({ level, message, fields });
  const log: Log = { info: line('info'), warn: line('warn'), error: line('error') };
  const appender = new Appender({
    queue,
    clock,
    random,
    log,
    maxInFlightBytes: options.maxInFlightBytes ?? 1_048_576,
    onStored: (partition) => void woken.push(partition),
  });
  const context = {
    node: 'node-1',
    clock,
    random,
    queue,
    progress,
    appender,
    log,
    authenticator: options.authenticator ?? tokenOfName,
    settings: { ...SETTINGS, ...options.settings },
    tables: async () => new Map([['cities', { key: ['id'] }]]),
    onWaiting: (partition: number) => void waiting.push(partition),
  };
  const sessions = new Sessions(context);
  const connect = (address = '10.0.0.1', known?: Peer) => {
    const peer = new TestPeer(address, known);
    sessions.accept(peer.serverSide);
    return peer;
  };
  const open = async (hello: TestHello = {}, address?: string, known?: Peer) => {
    const peer = connect(address, known);
    peer.hello(hello);
    await clock.settle();
    return peer;
  };
  return { clock, queue, progress, appender, context, sessions, waiting, woken, logged, connect, open };
}

/** The client's end of a connection, speaking raw frames. */
export class TestPeer {
  readonly serverSide: TestConnection;
  readonly frames: Frame[] = [];
  readonly #decoder = new FrameDecoder(1 << 26);

  constructor(address: string, known?: Peer) {
    const deliver = (chunk: Uint8Array) => {
      this.#decoder.push(chunk);
      for (let frame = this.#decoder.next(); frame !== undefined; frame = this.#decoder.next()) this.frames.push(frame);
    };
    this.serverSide = new TestConnection(address, deliver, known);
  }

  get isClosed(): boolean {
    return this.serverSide.isClosed;
  }

  hello({ stream = STREAM, token = 'token-of-shop', oldest = new Map<number, number>(), left = [] }: TestHello = {}): void {
    this.send({ type: FRAME.hello, payload: encodeHello({ v: 1, token, stream, oldest, agent: 'test', left }) });
  }

  send(fields: FrameFields): void {
    this.sendBytes(encodeFrame(fields));
  }

  sendBytes(...frames: readonly Uint8Array[]): void {
    this.serverSide.deliver(Buffer.concat(frames));
  }

  /** What came since the last call, as `STORED 0:3`, `CREDIT 0 (reason)`, `ERROR code`, …; PINGs are answered and left out. */
  take(): string[] {
    return this.frames
      .splice(0)
      .filter(({ type }) => type !== FRAME.ping)
      .map(describeFrame);
  }

  /** Goes away without a word. */
  vanish(): void {
    this.serverSide.destroy();
  }
}

export function describeFrame({ type, partition, seq, payload }: Frame): string {
  const name = frameName(type);
  if (type === FRAME.stored || type === FRAME.applied || type === FRAME.rewind) return `${name} ${partition}:${seq}`;
  if (type === FRAME.rejected) return `${name} ${partition}:${seq} ${decodeRejected(payload).code}`;
  if (type === FRAME.error) return `${name} ${decodeError(payload).code}`;
  if (type === FRAME.goaway) return `${name} ${decodeGoaway(payload).retryAfterMs}`;
  if (type !== FRAME.credit) return name;
  const { bytes, reason } = decodeCredit(payload);
  return reason === undefined ? `${name} ${bytes}` : `${name} ${bytes} (${reason})`;
}

/** The server's end of a connection that delivers at once, unless the peer does not read. */
export class TestConnection implements Connection {
  readonly remoteAddress: string;
  readonly peer: Peer | undefined;
  readonly #deliver: (chunk: Uint8Array) => void;
  #receiver: Receiver | undefined;
  #unread: Uint8Array[] = [];
  #unreadBytes = 0;
  #unsent: Uint8Array[] = [];
  #isReading = true;
  #isEnding = false;
  isPaused = false;
  isClosed = false;

  constructor(remoteAddress: string, deliver: (chunk: Uint8Array) => void, peer?: Peer) {
    this.remoteAddress = remoteAddress;
    this.peer = peer;
    this.#deliver = deliver;
  }

  get bufferedBytes(): number {
    return this.#unreadBytes;
  }

  /** Whether the peer reads. */
  set isReading(isReading: boolean) {
    this.#isReading = isReading;
    if (!isReading) return;
    const chunks = this.#unread;
    this.#unread = [];
    this.#unreadBytes = 0;
    for (const chunk of chunks) this.#deliver(chunk);
    if (chunks.length > 0) this.#receiver?.drain();
    if (this.#isEnding) this.destroy();
  }

  open(receiver: Receiver): void {
    this.#receiver = receiver;
    this.#drainUnsent();
  }

  write(chunk: Uint8Array): void {
    if (this.isClosed) return;
    if (this.#isReading) return this.#deliver(chunk);
    this.#unread.push(chunk);
    this.#unreadBytes += chunk.length;
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
    this.#drainUnsent();
  }

  end(): void {
    this.#isEnding = true;
    if (this.#isReading) this.destroy();
  }

  destroy(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.#receiver?.close();
  }

  /** The peer sends. */
  deliver(chunk: Uint8Array): void {
    this.#unsent.push(chunk);
    this.#drainUnsent();
  }

  #drainUnsent(): void {
    while (this.#receiver !== undefined && !this.isPaused && !this.isClosed && this.#unsent.length > 0)
      this.#receiver.data(this.#unsent.shift()!);
  }
}

/** The frames of one stream in one partition, each naming the one before. */
export class FrameChain {
  readonly frames: Buffer[] = [];
  readonly partition: number;
  readonly #label: string;

  constructor(partition: number, count: number, label = 'row') {
    this.partition = partition;
    this.#label = label;
    for (let i = 0; i < count; i++) this.add();
  }

  /** Appends a frame, with a small batch where no payload is given. */
  add(payload: Uint8Array = smallBatch(`${this.#label} ${this.frames.length}`), flags = 0): Buffer {
    const seq = this.frames.length + 1;
    const prev = seq === 1 ? 0 : this.place(seq - 1).crc;
    const frame = Buffer.from(encodeFrame({ type: FRAME.batch, flags, partition: this.partition, seq, prev, payload }));
    this.frames.push(frame);
    return frame;
  }

  /** Frames `from` … `to`, joined. */
  bytes(from: number, to = from): Buffer {
    return Buffer.concat(this.frames.slice(from - 1, to));
  }

  place(seq: number): Place {
    return seq === 0 ? { seq, crc: 0 } : { seq, crc: frameCrc(this.frames[seq - 1]!) };
  }
}

export function smallBatch(text: string): Buffer {
  return Buffer.from(encodeBatch({ groups: [{ table: 'cities', op: 'upsert', keyCount: 1, columns: ['id', 'name'], rows: [[1, text]] }] }));
}

/** How far one stream is in the sink, as the test decides. */
export class TestProgress implements Progress {
  status: StreamProgress['status'] = 'known';
  producer: string | undefined;
  readonly watermarks = new Map<number, Place>();
  readonly rejections: SinkRejection[] = [];
  isAway = false;
  readCount = 0;
  /** So many are read at once, at least; they are of different batches where it matters. */
  rejectionsAtOnce = Infinity;
  /** Streams that were ended, each with its producer. */
  readonly ended: string[] = [];
  /** When set, reads wait for it after they have read. */
  gate: Promise<void> | undefined;
  #listener: ((advance: Advance) => void) | undefined;

  async read(_stream: StreamId, above: ReadonlyMap<number, number>, told = above): Promise<StreamProgress> {
    this.readCount++;
    if (this.isAway) throw new SyncError('sink_unavailable', 'the sink is away; the test said so');
    const watermarks = new Map(this.watermarks);
    const all = this.rejections.filter(
      ({ partition, seq }) => seq > (told.get(partition) ?? 0) && seq <= (watermarks.get(partition)?.seq ?? 0),
    );
    const rejections = all.slice(0, this.rejectionsAtOnce);
    const cut = new Map<number, number>();
    for (const { partition, seq } of all.slice(rejections.length))
      if (!cut.has(partition)) cut.set(partition, Math.max(told.get(partition) ?? 0, seq - 1));
    await this.gate;
    return { status: this.status, producer: this.producer, watermarks, rejections, cut };
  }

  async end(stream: StreamId, producer: string): Promise<void> {
    if (this.isAway) throw new SyncError('sink_unavailable', 'the sink is away; the test said so');
    this.ended.push(`${stream} of ${producer}`);
  }

  watch(listener: (advance: Advance) => void): () => void {
    this.#listener = listener;
    return () => void (this.#listener = undefined);
  }

  /** A commit of this node: moves the watermark and tells. */
  commit(partition: number, after: Place, rejections: readonly SinkRejection[] = [], stream = STREAM): void {
    const before = this.watermarks.get(partition) ?? { seq: 0, crc: 0 };
    this.commitElsewhere(partition, after, rejections);
    this.#listener?.({ stream, partition, before, after, rejections });
  }

  /** A commit that this node hears nothing of. */
  commitElsewhere(partition: number, after: Place, rejections: readonly SinkRejection[] = []): void {
    this.watermarks.set(partition, after);
    this.rejections.push(...rejections);
  }
}

export function rejectionOf(partition: number, seq: number, code: ErrorCode = 'too_long'): SinkRejection {
  return { sink: 'main', partition, seq, code, message: 'a test', changes: [0] };
}

/** The memory queue with faults that a network brings: calls that fail before or after their effect, and calls that wait. */
export class FaultyQueue implements Queue {
  readonly memory: MemoryQueue;
  /** Every call fails, without effect or after it. */
  fault: 'none' | 'before' | 'after' = 'none';
  /** Appends wait for it. */
  gate: Promise<void> | undefined;
  readonly appends: { readonly partition: number; readonly seqs: readonly number[] }[] = [];
  concurrency = 0;
  maxConcurrency = 0;

  constructor(memory: MemoryQueue) {
    this.memory = memory;
  }

  get partitionCount(): number {
    return this.memory.partitionCount;
  }

  get admission(): Admission {
    return this.memory.admission;
  }

  async append(partition: number, entries: readonly AppendEntry[]): Promise<AppendResult[]> {
    this.appends.push({ partition, seqs: entries.map(({ seq }) => seq) });
    this.maxConcurrency = Math.max(this.maxConcurrency, ++this.concurrency);
    try {
      await this.gate;
      return await this.#faulty(() => this.memory.append(partition, entries));
    } finally {
      this.concurrency--;
    }
  }

  raise(...floors: Parameters<Queue['raise']>): ReturnType<Queue['raise']> {
    return this.#faulty(() => this.memory.raise(...floors));
  }

  async #faulty<T>(call: () => Promise<T>): Promise<T> {
    const away = () => new SyncError('queue_unavailable', 'the queue is away; the test said so');
    if (this.fault === 'before') throw away();
    const result = await call();
    if (this.fault === 'after') throw away();
    return result;
  }

  fetch: Queue['fetch'] = (...args) => this.memory.fetch(...args);
  streams: Queue['streams'] = (...args) => this.memory.streams(...args);
  trim: Queue['trim'] = (...args) => this.memory.trim(...args);
  heal: Queue['heal'] = (...args) => this.memory.heal(...args);
  backlog: Queue['backlog'] = (...args) => this.memory.backlog(...args);
  forget: Queue['forget'] = (...args) => this.memory.forget(...args);
  acquire: Queue['acquire'] = (...args) => this.memory.acquire(...args);
  renew: Queue['renew'] = (...args) => this.memory.renew(...args);
  release: Queue['release'] = (...args) => this.memory.release(...args);
  keepMember: Queue['keepMember'] = (...args) => this.memory.keepMember(...args);
  announce: Queue['announce'] = (...args) => this.memory.announce(...args);
  watch: Queue['watch'] = (...args) => this.memory.watch(...args);
  close: Queue['close'] = () => this.memory.close();
}
