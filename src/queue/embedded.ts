import { Worker } from 'node:worker_threads';
import { systemClock, type Clock, type Timer } from '../core/clock.ts';
import { SyncError } from '../core/errors.ts';
import type { Lease } from '../core/lease.ts';
import { systemRandom, type Random } from '../core/random.ts';
import type { Place, StreamId } from '../core/stream.ts';
import { elementLength, writeElement } from './element.ts';
import { lockFolder } from './embedded/folder-lock.ts';
import { openEmbeddedReader } from './embedded/reader.ts';
import type { Envelope, Failure, Opening, Replies, Request, StoredEntry, WriterData } from './embedded/requests.ts';
import { LeaseTable } from './leases.ts';
import { MemberTable } from './members.ts';
import { QueueEvents } from './queue-events.ts';
import type {
  Acquisition,
  Admission,
  AppendEntry,
  AppendResult,
  Backlog,
  Element,
  FetchLimits,
  Floor,
  Member,
  MemberList,
  Queue,
  QueueEvent,
  QueueReader,
  QueueSettings,
  Reset,
} from './queue.ts';

export interface EmbeddedQueueOptions {
  /** Where `queue.sqlite` lies; created when it is missing. One process at a time. */
  readonly folder: string;
  /** Size at which appends are refused; producers are held back from 90 % of it. */
  readonly maxBytes?: number;
  readonly clock?: Clock;
  readonly random?: Random;
}

const DEFAULT_MAX_BYTES = 8 * 1024 ** 3;
const HOLD_SHARE = 0.9;
const OPEN_SHARE = 0.85;
/** How often a file that could not be written is tried again. */
const PROBE_MS = 1000;

/**
 * Opens the embedded queue: a SQLite file that one process has to itself, written by a thread of its own. A result is
 * given after the commit that holds it has reached the disk.
 * @throws {SyncError} `queue_locked`, `queue_mismatch`, or transient when the file cannot be opened.
 */
export async function openEmbeddedQueue(settings: QueueSettings, options: EmbeddedQueueOptions): Promise<Queue> {
  const unlock = lockFolder(options.folder);
  try {
    const maxBytes = options.maxBytes ?? DEFAULT_MAX_BYTES;
    const writer = startWriter({ folder: options.folder, settings, maxBytes });
    const usedBytes = await opening(writer);
    const reader = await openEmbeddedReader(options);
    return new EmbeddedQueue(settings, { ...options, maxBytes }, writer, usedBytes, reader, unlock);
  } catch (error) {
    unlock();
    throw error;
  }
}

interface Writer {
  readonly worker: Worker;
  /** Resolves when the thread has ended. */
  readonly ended: Promise<void>;
}

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: SyncError) => void;
}

class EmbeddedQueue implements Queue {
  readonly partitionCount: number;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #maxBytes: number;
  readonly #writer: Writer;
  readonly #reader: QueueReader;
  readonly #unlock: () => void;
  readonly #leases: LeaseTable;
  readonly #members: MemberTable;
  readonly #events = new QueueEvents({ state: 'open' });
  /** Requests of this turn of the event loop, sent together. */
  #outbox: Envelope[] = [];
  #transfers: ArrayBuffer[] = [];
  readonly #waiting = new Map<number, Waiting>();
  #lastId = 0;
  #usedBytes: number;
  #trouble: Failure | undefined;
  #probe: Timer | undefined;
  #closing: Promise<void> | undefined;

  constructor(
    settings: QueueSettings,
    options: EmbeddedQueueOptions & { maxBytes: number },
    writer: Writer,
    usedBytes: number,
    reader: QueueReader,
    unlock: () => void,
  ) {
    this.partitionCount = settings.partitions;
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? systemRandom;
    this.#maxBytes = options.maxBytes;
    this.#writer = writer;
    this.#reader = reader;
    this.#unlock = unlock;
    this.#leases = new LeaseTable(this.#clock);
    this.#members = new MemberTable(this.#clock);
    this.#usedBytes = usedBytes;
    writer.worker.on('message', (replies: Replies) => this.#receive(replies));
    writer.worker.on('error', (error) => this.#fail(error));
    this.#decide();
  }

  append(partition: number, entries: readonly AppendEntry[]): Promise<AppendResult[]> {
    this.#check(partition);
    if (entries.length === 0) return Promise.resolve([]);
    let length = 0;
    for (const entry of entries) length += elementLength(entry);
    // One buffer for the whole call: it is handed over to the thread, not copied.
    const bytes = Buffer.from(new ArrayBuffer(length));
    const randoms = new Uint8Array(8 * entries.length);
    this.#random.fill(randoms);
    let end = 0;
    const stored = entries.map((entry, i): StoredEntry => {
      const start = end;
      end = writeElement(bytes, start, entry, randoms.subarray(8 * i, 8 * i + 8));
      return { stream: entry.stream, producer: entry.producer, seq: entry.seq, prev: entry.prev, crc: entry.crc, start, end };
    });
    this.#transfers.push(bytes.buffer);
    const nowUs = Math.floor(this.#clock.wallMs() * 1000);
    return this.#ask({ type: 'append', partition, nowUs, entries: stored, bytes: new Uint8Array(bytes.buffer) });
  }

  raise(floors: readonly Floor[]): Promise<Place[]> {
    for (const floor of floors) this.#check(floor.partition);
    return this.#ask({ type: 'raise', floors });
  }

  streams(partition: number): Promise<Map<StreamId, Place>> {
    this.#check(partition);
    return this.#ask({ type: 'streams', partition });
  }

  fetch(sink: string, partition: number, limits: FetchLimits): Promise<Element[]> {
    this.#check(partition);
    return this.#reader.fetch(sink, partition, limits);
  }

  async trim(lease: Lease, count: number, last: Uint8Array, resets: readonly Reset[]): Promise<boolean> {
    if (!this.#leases.holds(lease)) return false;
    return this.#ask({ type: 'trim', sink: lease.sink, partition: lease.partition, count, last, resets });
  }

  async heal(lease: Lease, watermarks: ReadonlyMap<StreamId, Place>): Promise<StreamId[]> {
    if (!this.#leases.holds(lease)) return [];
    return this.#ask({ type: 'heal', sink: lease.sink, partition: lease.partition, watermarks });
  }

  backlog(sink: string): Promise<Backlog[]> {
    return this.#ask({ type: 'backlog', sink });
  }

  forget(partition: number, streams: readonly StreamId[]): Promise<void> {
    this.#check(partition);
    return this.#ask({ type: 'forget', partition, streams });
  }

  async acquire(lease: Lease, holder: string, ttlMs: number, how: 'steal' | 'take' | 'wait'): Promise<Acquisition> {
    this.#check(lease.partition);
    return this.#leases.acquire(lease, holder, ttlMs, how);
  }

  async renew(leases: readonly Lease[], ttlMs: number): Promise<boolean[]> {
    return leases.map((lease) => this.#leases.renew(lease, ttlMs));
  }

  async release(leases: readonly Lease[]): Promise<void> {
    for (const lease of leases) this.#leases.release(lease);
  }

  async keepMember(member: Member, ttlMs: number): Promise<MemberList> {
    return this.#members.keep(member, ttlMs);
  }

  announce(): void {}

  get admission(): Admission {
    return this.#events.admission;
  }

  watch(listener: (event: QueueEvent) => void): () => void {
    return this.#events.watch(listener);
  }

  /** Answers what was asked, then closes the file. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#probe?.cancel();
    this.#flush();
    // The writer closes last, so that it empties the log into the file.
    await this.#reader.close();
    this.#writer.worker.postMessage('close');
    await this.#writer.ended;
    for (const { reject } of this.#waiting.values()) reject(closedError());
    this.#waiting.clear();
    this.#unlock();
  }

  #ask<T>(request: Request): Promise<T> {
    if (this.#closing) return Promise.reject(closedError());
    const id = ++this.#lastId;
    if (this.#outbox.length === 0) queueMicrotask(() => this.#flush());
    this.#outbox.push({ id, request });
    return new Promise<T>((resolve, reject) => this.#waiting.set(id, { resolve: (value) => resolve(value as T), reject }));
  }

  #flush(): void {
    if (this.#outbox.length === 0) return;
    this.#writer.worker.postMessage(this.#outbox, this.#transfers);
    this.#outbox = [];
    this.#transfers = [];
  }

  #receive({ replies, usedBytes, trouble }: Replies): void {
    this.#usedBytes = usedBytes;
    this.#trouble = trouble;
    this.#decide();
    for (const { id, value, error } of replies) {
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error) waiting?.reject(new SyncError(error.code, error.message));
      else waiting?.resolve(value);
    }
  }

  #decide(): void {
    if (this.#trouble) {
      this.#events.admit(`${this.#trouble.code}: ${this.#trouble.message}`);
      this.#probe ??= this.#clock.setTimer(PROBE_MS, () => {
        this.#probe = undefined;
        // The answer says whether the trouble is over.
        if (!this.#closing) this.#ask({ type: 'probe' }).catch(() => {});
      });
      return;
    }
    const share = this.#events.admission.state === 'open' ? HOLD_SHARE : OPEN_SHARE;
    const isFull = this.#usedBytes >= share * this.#maxBytes;
    this.#events.admit(
      isFull
        ? `queue_full: the embedded queue uses more than ${100 * HOLD_SHARE} % of its ${this.#maxBytes} bytes; producers wait until it drains`
        : undefined,
    );
  }

  /** A bug in the thread: nothing can be stored any more, so the process ends as for a bug of its own. */
  #fail(error: unknown): void {
    for (const { reject } of this.#waiting.values())
      reject(new SyncError('queue_unavailable', 'the thread that writes the queue has failed'));
    this.#waiting.clear();
    setImmediate(() => {
      throw error;
    });
  }

  #check(partition: number): void {
    if (!(partition >= 0 && partition < this.partitionCount))
      throw new RangeError(`partition ${partition} does not exist: there are ${this.partitionCount}`);
  }
}

function startWriter(data: WriterData): Writer {
  // Compiled files end in .js; only import specifiers are rewritten by the compiler.
  const file = import.meta.url.endsWith('.ts') ? './embedded/writer.ts' : './embedded/writer.js';
  const worker = new Worker(new URL(file, import.meta.url), { workerData: data, name: 'syncline-queue' });
  return { worker, ended: new Promise((resolve) => worker.once('exit', () => resolve())) };
}

/** Bytes in use, once the file is open. */
async function opening({ worker, ended }: Writer): Promise<number> {
  const opened = await new Promise<Opening>((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
    void ended.then(() => reject(new SyncError('queue_unavailable', 'the thread that writes the queue ended at its start')));
  });
  worker.removeAllListeners('error');
  if (opened.opened) return opened.usedBytes;
  await ended;
  throw new SyncError(opened.error.code, opened.error.message);
}

function closedError(): SyncError {
  return new SyncError('queue_unavailable', 'the queue is closed');
}
