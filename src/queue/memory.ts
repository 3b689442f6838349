import type { Clock } from '../core/clock.ts';
import type { Lease } from '../core/lease.ts';
import { SyncError } from '../core/errors.ts';
import type { Random } from '../core/random.ts';
import { START, type Place, type StreamId } from '../core/stream.ts';
import { decodeWholeElement, elementLength, IDENTITY_END, IDENTITY_START, readStoreTime, stampElement, writeElement } from './element.ts';
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
  QueueSettings,
  Reset,
} from './queue.ts';
import { foreignFloor, healRecord, judgeEntry, raiseRecord, resetRecord, type StreamRecord } from './record.ts';

export interface MemoryQueueOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Bytes of elements at which appends are refused; without it there is no limit. */
  readonly maxBytes?: number;
}

/** A queue that can also lose what it holds, as a Redis without persistence does when it restarts, or hold something else. */
export interface MemoryQueue extends Queue {
  /** Loses everything but the leases, and reports a reconnection. */
  wipe(): void;
  /** Flips a bit of the byte at `offset` of the element at `index` of a partition, in the list of every sink. */
  damage(partition: number, index: number, offset: number): void;
}

/** A queue in the memory of this process, for tests and the simulator. */
export function createMemoryQueue(settings: QueueSettings, options: MemoryQueueOptions): MemoryQueue {
  return new MemoryQueueState(settings, options);
}

interface List {
  readonly elements: Buffer[];
  bytes: number;
}

interface Partition {
  readonly streams: Map<StreamId, StreamRecord>;
  readonly lists: Map<string, List>;
  ordinal: number;
  storedAtUs: number;
}

class MemoryQueueState implements MemoryQueue {
  readonly partitionCount: number;
  readonly #settings: QueueSettings;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #maxBytes: number;
  readonly #leases: LeaseTable;
  readonly #members: MemberTable;
  readonly #events = new QueueEvents({ state: 'open' });
  #partitions: Partition[];

  constructor(settings: QueueSettings, options: MemoryQueueOptions) {
    this.partitionCount = settings.partitions;
    this.#settings = settings;
    this.#clock = options.clock;
    this.#random = options.random;
    this.#maxBytes = options.maxBytes ?? Infinity;
    this.#leases = new LeaseTable(options.clock);
    this.#members = new MemberTable(options.clock);
    this.#partitions = this.#emptyPartitions();
  }

  async append(partition: number, entries: readonly AppendEntry[]): Promise<AppendResult[]> {
    if (this.#bytes() >= this.#maxBytes) {
      this.#weigh();
      throw new SyncError('queue_full', `the memory queue holds its limit of ${this.#maxBytes} bytes`);
    }
    const state = this.#partition(partition);
    const results: AppendResult[] = [];
    state.storedAtUs = Math.max(state.storedAtUs, Math.floor(this.#clock.wallMs() * 1000));
    for (const entry of entries) {
      const record = state.streams.get(entry.stream);
      const verdict = judgeEntry(record, entry);
      if (verdict === 'append') {
        state.ordinal++;
        this.#push(state, entry);
        state.streams.set(entry.stream, { producer: entry.producer, place: { seq: entry.seq, crc: entry.crc }, ordinal: state.ordinal });
      }
      results.push({ verdict, stored: state.streams.get(entry.stream)?.place ?? START });
    }
    this.#weigh();
    return results;
  }

  async raise(floors: readonly Floor[]): Promise<Place[]> {
    const foreign = foreignFloor(floors, ({ partition, stream }) => this.#partition(partition).streams.get(stream));
    if (foreign) throw new SyncError('stream_owned_by_other', `stream ${foreign.stream} belongs to another producer; start a new stream`);
    return floors.map((floor) => {
      const { streams } = this.#partition(floor.partition);
      const raised = raiseRecord(streams.get(floor.stream), floor);
      if (raised !== undefined) streams.set(floor.stream, raised);
      return raised?.place ?? START;
    });
  }

  async streams(partition: number): Promise<Map<StreamId, Place>> {
    const places = new Map<StreamId, Place>();
    for (const [stream, record] of this.#partition(partition).streams) places.set(stream, record.place);
    return places;
  }

  async fetch(sink: string, partition: number, limits: FetchLimits): Promise<Element[]> {
    const fetched: Element[] = [];
    let bytes = 0;
    for (const element of this.#list(sink, partition).elements) {
      if (fetched.length >= limits.elements || (fetched.length > 0 && bytes >= limits.bytes)) break;
      fetched.push(decodeWholeElement(element));
      bytes += element.length;
    }
    return fetched;
  }

  async trim(lease: Lease, count: number, last: Uint8Array, resets: readonly Reset[]): Promise<boolean> {
    const list = this.#list(lease.sink, lease.partition);
    const element = list.elements[count - 1];
    if (element === undefined || !this.#leases.holds(lease)) return false;
    if (Buffer.compare(element.subarray(IDENTITY_START, IDENTITY_END), last) !== 0) return false;
    for (const removed of list.elements.splice(0, count)) list.bytes -= removed.length;
    const { streams } = this.#partition(lease.partition);
    for (const { stream, place } of resets) {
      const record = resetRecord(streams.get(stream), place);
      if (record !== undefined) streams.set(stream, record);
    }
    this.#weigh();
    return true;
  }

  async heal(lease: Lease, watermarks: ReadonlyMap<StreamId, Place>): Promise<StreamId[]> {
    if (!this.#leases.holds(lease)) return [];
    const head = this.#list(lease.sink, lease.partition).elements[0];
    const headOrdinal = head && decodeWholeElement(head).ordinal;
    const { streams } = this.#partition(lease.partition);
    const healed: StreamId[] = [];
    for (const [stream, watermark] of watermarks) {
      const record = healRecord(streams.get(stream), watermark, headOrdinal);
      if (record === undefined) continue;
      streams.set(stream, record);
      healed.push(stream);
    }
    return healed;
  }

  async backlog(sink: string): Promise<Backlog[]> {
    return this.#partitions.map((_, partition) => {
      const { elements, bytes } = this.#list(sink, partition);
      return { count: elements.length, bytes, headStoredAtUs: elements[0] && readStoreTime(elements[0]) };
    });
  }

  async forget(partition: number, streams: readonly StreamId[]): Promise<void> {
    for (const stream of streams) this.#partition(partition).streams.delete(stream);
  }

  async acquire(lease: Lease, holder: string, ttlMs: number, how: 'steal' | 'take' | 'wait'): Promise<Acquisition> {
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

  wipe(): void {
    this.#partitions = this.#emptyPartitions();
    this.#weigh();
    this.#events.connected();
  }

  damage(partition: number, index: number, offset: number): void {
    for (const { elements } of this.#partition(partition).lists.values()) {
      const damaged = Buffer.from(elements[index] as Buffer);
      damaged[offset] = (damaged[offset] as number) ^ 1;
      elements[index] = damaged;
    }
  }

  async close(): Promise<void> {}

  #push(state: Partition, entry: AppendEntry): void {
    const element = Buffer.allocUnsafeSlow(elementLength(entry));
    const random = new Uint8Array(8);
    this.#random.fill(random);
    writeElement(element, 0, entry, random);
    stampElement(element, state.storedAtUs, state.ordinal);
    for (const list of state.lists.values()) {
      list.elements.push(element);
      list.bytes += element.length;
    }
  }

  #weigh(): void {
    const bytes = this.#bytes();
    this.#events.admit(bytes >= this.#maxBytes ? `queue_full: the memory queue holds ${bytes} of ${this.#maxBytes} bytes` : undefined);
  }

  #bytes(): number {
    let bytes = 0;
    for (const { lists } of this.#partitions) for (const list of lists.values()) bytes += list.bytes;
    return bytes;
  }

  #emptyPartitions(): Partition[] {
    return Array.from({ length: this.partitionCount }, () => ({
      streams: new Map(),
      lists: new Map(this.#settings.sinks.map((sink) => [sink.name, { elements: [], bytes: 0 }])),
      ordinal: 0,
      storedAtUs: 0,
    }));
  }

  #partition(partition: number): Partition {
    const state = this.#partitions[partition];
    if (state === undefined) throw new RangeError(`partition ${partition} does not exist: there are ${this.partitionCount}`);
    return state;
  }

  #list(sink: string, partition: number): List {
    const list = this.#partition(partition).lists.get(sink);
    if (list === undefined) throw new RangeError(`sink ${sink} has no list in this queue`);
    return list;
  }
}
