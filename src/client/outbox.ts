import { assert } from '../core/assert.ts';
import type { Clock } from '../core/clock.ts';
import type { Random } from '../core/random.ts';
import { newStreamId, type Place, type SeqByPartition, type StreamId } from '../core/stream.ts';
import { FRAME, encodeFrame, frameCrc, HEADER_BYTES, readFrame } from '../protocol/frame.ts';
import { MAX_LEFT_STREAMS } from '../protocol/messages.ts';
import { BatchScan } from '../protocol/scan.ts';
import { type HeldFrame, Lane } from './lane.ts';
import type { Spool, SpooledFrame } from './spool.ts';
import { SpoolWriter } from './spool-writer.ts';
import { Standing } from './standing.ts';

/** How far a change is: durable with the client, in the server's queue, or committed in every required sink. */
export type Level = 'spooled' | 'stored' | 'applied';

/** What the outbox tells its owner. */
export interface OutboxListener {
  /** Frames have become durable: there may be something to send. */
  sendable(): void;
  /** Frames were made durable, stored, or applied and forgotten. */
  progressed(): void;
  /** The stream cannot go on: a new one starts once {@link Outbox.isSettled}. */
  diverged(reason: string): void;
  spoolTroubled(error: unknown): void;
  spoolRecovered(): void;
}

/**
 * All frames that are not applied yet: gives each its place, makes it durable, says what to send next within the
 * credit, and forgets it when the server says APPLIED and means the same bytes. Knows no connection; a session asks it.
 *
 * Once the server names a place that is not ours (`docs/protocol.md`, "The chain"), the stream has diverged: nothing more
 * is sent, agreeing APPLIEDs still count, and when the server has applied all that it stored, {@link startStream} moves the rest
 * into a new stream.
 */
export class Outbox {
  readonly #spool: Spool;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #listener: OutboxListener;
  readonly #writer: SpoolWriter;
  readonly #lanes = new Map<number, Lane>();
  #standing = new Standing(new Map());
  #streamId: StreamId;
  #diverged = false;
  /** By partition, the first seq that the server's sink lacks; set while it lacks what was forgotten here. */
  #missing: SeqByPartition | undefined;
  /** The streams before this one that were left because of that, the newest first. */
  #left: readonly StreamId[];
  #order = 0;
  #heldBytes = 0;
  #heldFrames = 0;
  #heldChanges = 0;
  #outstandingBytes = 0;
  #appliedChanges = 0;

  constructor(spool: Spool, clock: Clock, random: Random, listener: OutboxListener) {
    this.#spool = spool;
    this.#clock = clock;
    this.#random = random;
    this.#listener = listener;
    this.#writer = new SpoolWriter(spool, clock, random, {
      durable: (frames) => this.#durable(frames),
      troubled: (error) => listener.spoolTroubled(error),
      recovered: () => listener.spoolRecovered(),
    });
    const { stream, left } = spool.restored;
    this.#left = left;
    this.#streamId = stream ?? newStreamId(random);
    if (stream === undefined) void this.#writer.reset(this.#streamId, [], []);
    else this.#restore();
  }

  get stream(): StreamId {
    return this.#streamId;
  }

  /** Whether the stream was begun by an earlier process. */
  get isRestored(): boolean {
    return this.#spool.restored.stream !== undefined;
  }

  /**
   * For HELLO: streams of which nothing is to be applied any more. Once something of this one is applied, a database that knows
   * of it knows that they are over, and one that does not lacks a part of this one, too.
   */
  get left(): readonly StreamId[] {
    const isProven = [...this.#lanes.values()].some((lane) => lane.applied.seq > 0);
    return isProven ? [] : this.#left;
  }

  get diverged(): boolean {
    return this.#diverged;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  get heldFrames(): number {
    return this.#heldFrames;
  }

  get heldChanges(): number {
    return this.#heldChanges;
  }

  /** Changes that were applied, and not refused, since this outbox was made. */
  get appliedChanges(): number {
    return this.#appliedChanges;
  }

  /** Bytes that were sent on this connection and are above the last STORED of their partition. */
  get outstandingBytes(): number {
    return this.#outstandingBytes;
  }

  /** Whether everything is stored: then there is no reason to wait for more before sending. */
  get isIdle(): boolean {
    if (this.#heldFrames === 0) return true;
    for (const lane of this.#lanes.values()) if (lane.storedSeq < lane.assigned.seq) return false;
    return true;
  }

  /** The order of the newest frame; see {@link pendingFrom}. */
  get newestOrder(): number {
    return this.#order;
  }

  /** The order of the oldest frame that has not reached `level`; everything before it has. Infinity when all have. */
  pendingFrom(level: Level): number {
    let oldest = Infinity;
    for (const lane of this.#lanes.values()) {
      const seq = level === 'applied' ? lane.applied.seq : level === 'stored' ? lane.storedSeq : lane.durableSeq;
      const frame = lane.frameAt(Math.max(seq, lane.applied.seq) + 1);
      if (frame !== undefined && frame.order < oldest) oldest = frame.order;
    }
    return oldest;
  }

  /** When the oldest frame that is held was made, by the monotonic clock. */
  get oldestHeldSinceMs(): number | undefined {
    let oldest: number | undefined;
    for (const lane of this.#lanes.values()) {
      const since = lane.first?.heldSinceMs;
      if (since !== undefined && (oldest === undefined || since < oldest)) oldest = since;
    }
    return oldest;
  }

  /** The highest partition that anything is held for; −1 when nothing is. */
  get highestPartition(): number {
    let highest = -1;
    for (const lane of this.#lanes.values()) if (lane.heldCount > 0) highest = Math.max(highest, lane.partition);
    return highest;
  }

  /**
   * Calls `told` with the frame that a REJECTED is about, undefined when that is not held here: at once or, where the server
   * may mean another frame under the same number, with the APPLIED that covers it, which tells whose it was.
   */
  whose(partition: number, seq: number, told: (frame: HeldFrame | undefined) => void): void {
    const lane = this.#lanes.get(partition);
    if (lane === undefined) told(undefined);
    else lane.whose(seq, told);
  }

  /** Gives a batch its place; it is sent once it is durable. */
  add(partition: number, payload: Uint8Array, changes: number, numbers?: readonly number[]): void {
    const lane = this.#laneOf(partition);
    this.#order += 1;
    const frame = this.#frame(lane, { payload, changes, numbers, order: this.#order, heldSinceMs: this.#clock.monotonicMs() });
    this.#writer.append(frame);
  }

  /** Keeps a note in the spool. */
  remember(note: string): void {
    this.#writer.remember(note);
  }

  /**
   * For HELLO: of every partition that the stream used, the lowest seq that is held, or the next to be assigned; after
   * {@link regress} no more than the sink lacks.
   */
  oldest(): Map<number, number> {
    const oldest = new Map<number, number>();
    for (const lane of this.#lanes.values()) oldest.set(lane.partition, this.#reachOf(lane, lane.applied.seq) + 1);
    return oldest;
  }

  /** WELCOME: everything above `stored` is to be sent on this connection. */
  begin(stored: ReadonlyMap<number, Place>): void {
    this.#standing = new Standing(stored);
    this.#outstandingBytes = 0;
    for (const lane of this.#lanes.values()) lane.reopen(0);
    for (const [partition, place] of stored) this.#check(partition, place, 'WELCOME')?.reopen(place.seq);
    // The STORED that said so first may have been lost with its connection.
    this.#listener.progressed();
  }

  /** The connection is gone: nothing is outstanding any more. */
  end(): void {
    this.#outstandingBytes = 0;
    for (const lane of this.#lanes.values()) lane.reopen(lane.storedSeq);
  }

  /**
   * The next frame to send within `creditBytes`, marked as sent; undefined when there is none or it must wait.
   * With credit and nothing outstanding, one frame of any size may go.
   *
   * Of all partitions the oldest frame goes first: a change that depends on one in another partition waits there for
   * what was stored about the same time, not for what is still on its way because more was held for that partition.
   */
  take(creditBytes: number): HeldFrame | undefined {
    if (this.#diverged || creditBytes <= 0) return undefined;
    let from: Lane | undefined;
    let frame: HeldFrame | undefined;
    for (const lane of this.#lanes.values()) {
      const next = lane.sendable;
      if (next === undefined || (frame !== undefined && next.order > frame.order)) continue;
      from = lane;
      frame = next;
    }
    if (from === undefined || frame === undefined) return undefined;
    // Not another lane's smaller one either: a large frame would wait for ever.
    if (this.#outstandingBytes > 0 && this.#outstandingBytes + frame.bytes.length > creditBytes) return undefined;
    const before = from.outstandingBytes;
    from.markSent(frame);
    this.#outstandingBytes += from.outstandingBytes - before;
    return frame;
  }

  /** STORED. Returns whether it says something new. */
  stored(partition: number, place: Place): boolean {
    this.#standing.stored(partition, place.seq);
    const lane = this.#check(partition, place, 'STORED');
    if (lane === undefined || place.seq <= lane.storedSeq) return false;
    this.#settle(lane, () => lane.markStored(place.seq));
    this.#listener.progressed();
    return true;
  }

  /** APPLIED: forgets what it covers. Returns whether it says something new. */
  applied(partition: number, place: Place): boolean {
    this.#standing.applied(partition, place.seq);
    const lane = this.#check(partition, place, 'APPLIED');
    this.#lanes.get(partition)?.resolve(place.seq, lane === undefined ? 'foreign' : 'ours');
    if (lane === undefined || place.seq <= lane.applied.seq) return false;
    let dropped: HeldFrame[] = [];
    this.#settle(lane, () => (dropped = lane.markApplied(place)));
    for (const frame of dropped) {
      this.#heldBytes -= frame.bytes.length;
      this.#heldFrames -= 1;
      this.#heldChanges -= frame.changes;
      this.#appliedChanges += frame.changes - Math.min(frame.changes, frame.rejectedChanges);
    }
    this.#spool.applied(partition, place);
    this.#listener.progressed();
    return true;
  }

  /** REWIND. Returns false when it asks for what is no longer held: then HELLO must be said again. */
  rewind(partition: number, seq: number): boolean {
    this.#standing.rewound(partition, seq - 1);
    const lane = this.#lanes.get(partition);
    if (lane === undefined || seq > lane.assigned.seq + 1) {
      this.#diverge(`REWIND asks for seq ${seq} of partition ${partition}, beyond what this client sent`);
      return true;
    }
    if (seq <= lane.applied.seq) return this.#missing !== undefined;
    this.#settle(lane, () => lane.rewind(seq));
    return true;
  }

  /** The server refused to go on with this stream because other content has one of its numbers. */
  diverge(reason: string): void {
    this.#diverge(reason);
  }

  /**
   * The server's sink lacks what was forgotten here, from `missing` on, by partition. The stream ends as one that has
   * diverged: what the server still has of it may become applied, and must not go into the new one too.
   */
  regress(missing: SeqByPartition): void {
    this.#missing = missing;
    this.#diverged = true;
  }

  /** Whether a stream that has diverged can be left for a new one: nothing of it can still become applied. */
  get isSettled(): boolean {
    return this.#standing.isFinal(new Map([...this.#lanes.values()].map((lane) => [lane.partition, this.#reachOf(lane, lane.sentSeq)])));
  }

  /**
   * Starts a new stream with everything that is held, in the order in which it was made. After {@link regress} the one before is
   * over for everybody, unless another one goes on in it. Resolves when the spool has left it, perhaps never: the server
   * must not hear of it before, because a client that came back with the old stream would find nothing of it.
   */
  startStream(why: 'diverged' | 'regressed'): Promise<void> {
    const held = [...this.#lanes.values()].flatMap((lane) => lane.held()).sort((a, b) => a.order - b.order);
    const isShared = [...this.#lanes.values()].some(({ isDisputed }) => isDisputed);
    if (!isShared && (why === 'regressed' || this.#missing !== undefined))
      this.#left = [this.#streamId, ...this.#left].slice(0, MAX_LEFT_STREAMS);
    this.#streamId = newStreamId(this.#random);
    this.#diverged = false;
    this.#missing = undefined;
    this.#lanes.clear();
    this.#heldBytes = 0;
    this.#heldFrames = 0;
    this.#heldChanges = 0;
    this.#outstandingBytes = 0;
    const moved = held.map((old) => {
      const lane = this.#laneOf(old.partition);
      return this.#frame(lane, { ...old, payload: old.bytes.subarray(HEADER_BYTES) });
    });
    return this.#writer.reset(this.#streamId, moved, this.#left);
  }

  async close(): Promise<void> {
    await this.#writer.close();
    await this.#spool.close();
  }

  /** `seq`, or less where the sink has less. */
  #reachOf({ partition }: Lane, seq: number): number {
    return this.#missing === undefined ? seq : Math.min(seq, (this.#missing.get(partition) ?? 1) - 1);
  }

  #restore(): void {
    const { assigned, held } = this.#spool.restored;
    const firsts = new Map<number, SpooledFrame>();
    for (const frame of held) if (!firsts.has(frame.partition)) firsts.set(frame.partition, frame);
    for (const [partition, place] of assigned) {
      const first = firsts.get(partition);
      const before = first === undefined ? place : { seq: first.seq - 1, crc: readFrame(first.bytes).prev };
      this.#addLane(new Lane(partition, before));
    }
    const scan = new BatchScan();
    const nowMs = this.#clock.monotonicMs();
    for (const { partition, seq, crc, bytes } of held) {
      const lane = this.#lanes.get(partition);
      assert(lane !== undefined, 'a partition with frames has assigned them');
      const frame = readFrame(bytes);
      const changes = scan.scan(frame.payload) ? scan.changes : 0;
      this.#order += 1;
      this.#hold(lane, {
        partition,
        seq,
        crc,
        bytes,
        prev: frame.prev,
        changes,
        numbers: undefined,
        order: this.#order,
        heldSinceMs: nowMs,
        durable: true,
        rejections: undefined,
        rejectedChanges: 0,
      });
      lane.durableSeq = seq;
    }
    for (const lane of this.#lanes.values())
      assert(lane.assigned.seq === assigned.get(lane.partition)?.seq, 'a spool holds the frames up to the highest that was assigned');
  }

  #frame(lane: Lane, { payload, changes, numbers, order, heldSinceMs }: FrameContent): HeldFrame {
    const { seq, crc: prev } = lane.assigned;
    const bytes = encodeFrame({ type: FRAME.batch, partition: lane.partition, seq: seq + 1, prev, payload });
    const frame: HeldFrame = {
      partition: lane.partition,
      seq: seq + 1,
      crc: frameCrc(bytes),
      bytes,
      prev,
      changes,
      numbers,
      order,
      heldSinceMs,
      durable: false,
      rejections: undefined,
      rejectedChanges: 0,
    };
    this.#hold(lane, frame);
    return frame;
  }

  #hold(lane: Lane, frame: HeldFrame): void {
    lane.hold(frame);
    this.#heldBytes += frame.bytes.length;
    this.#heldFrames += 1;
    this.#heldChanges += frame.changes;
  }

  #durable(frames: readonly HeldFrame[]): void {
    for (const frame of frames) frame.durable = true;
    for (const partition of new Set(frames.map((frame) => frame.partition))) this.#lanes.get(partition)?.advanceDurable();
    this.#listener.progressed();
    this.#listener.sendable();
  }

  #laneOf(partition: number): Lane {
    const lane = this.#lanes.get(partition);
    return lane ?? this.#addLane(new Lane(partition));
  }

  #addLane(lane: Lane): Lane {
    this.#lanes.set(lane.partition, lane);
    return lane;
  }

  /** Runs `change` on a lane and carries what it does to the lane's outstanding bytes into the sum. */
  #settle(lane: Lane, change: () => void): void {
    const before = lane.outstandingBytes;
    change();
    this.#outstandingBytes += lane.outstandingBytes - before;
  }

  /** The lane, unless `place` is not ours. */
  #check(partition: number, place: Place, from: string): Lane | undefined {
    const lane = this.#lanes.get(partition);
    if (lane === undefined && place.seq === 0) return undefined;
    const comparison = lane === undefined ? 'beyond' : lane.compare(place);
    if (comparison === 'agrees' || comparison === 'forgotten') return lane;
    if (lane !== undefined) lane.isDisputed = true;
    const how = comparison === 'beyond' ? 'is beyond what this client sent' : 'has other content than what this client sent';
    this.#diverge(`${from} names seq ${place.seq} of partition ${partition}, which ${how}`);
    return undefined;
  }

  #diverge(reason: string): void {
    if (this.#diverged) return;
    this.#diverged = true;
    this.#listener.diverged(reason);
  }
}

/** What a frame is made of, but for its place. */
interface FrameContent extends Pick<HeldFrame, 'changes' | 'numbers' | 'order' | 'heldSinceMs'> {
  readonly payload: Uint8Array;
}
