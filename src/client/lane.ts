import { assert } from '../core/assert.ts';
import { type Place, START } from '../core/stream.ts';
import type { SpooledFrame } from './spool.ts';

/** A frame that is kept until it is applied. */
export interface HeldFrame extends SpooledFrame {
  /** The crc of the frame before it: what its header names. */
  readonly prev: number;
  /** Number of changes in it. */
  readonly changes: number;
  /** Of each of them, its place among all changes that the client took, from 0; kept only where `numbered` is set. */
  readonly numbers: readonly number[] | undefined;
  /** Place among all frames of the client, over all partitions, in the order in which they were made. */
  readonly order: number;
  /** When it was made, by the monotonic clock. */
  readonly heldSinceMs: number;
  durable: boolean;
  /** Rejections that were reported already; the server repeats them after a reconnect. */
  rejections: Set<string> | undefined;
  /** How many of its changes were refused for good. */
  rejectedChanges: number;
}

/** Something that the server said of a frame that may be another than ours. */
interface Doubt {
  readonly seq: number;
  readonly told: (frame: HeldFrame | undefined) => void;
}

/** How a place that the server names compares with the lane's own frame there. */
export type Comparison = 'agrees' | 'differs' | 'beyond' | 'forgotten';

/**
 * One partition of a stream as the client sees it.
 *
 *     1 … applied │ applied+1 … stored │ … sent │ … durable │ … assigned
 *     forgotten   │ held: everything from here to the right, without gaps
 *
 * `stored` and `sent` belong to one connection and may go back (WELCOME, REWIND); `applied` and `assigned` never do.
 */
export class Lane {
  readonly partition: number;
  /** The highest place that was given to a frame. */
  assigned: Place;
  /** Everything up to here is applied and forgotten. */
  applied: Place;
  storedSeq: number;
  sentSeq: number;
  durableSeq: number;
  /** Bytes of the frames above `storedSeq` that were sent on this connection. */
  outstandingBytes = 0;
  /** The server named a place that is not ours: what it says of frames that are held may be about others, until APPLIED tells. */
  isDisputed = false;
  #doubts: Doubt[] = [];
  readonly #frames: HeldFrame[] = [];
  #head = 0;

  /** A lane whose frames up to `assigned` are applied, before those that {@link hold} adds. */
  constructor(partition: number, applied: Place = START) {
    this.partition = partition;
    this.assigned = applied;
    this.applied = applied;
    this.storedSeq = applied.seq;
    this.sentSeq = applied.seq;
    this.durableSeq = applied.seq;
  }

  get heldCount(): number {
    return this.#frames.length - this.#head;
  }

  /** The oldest frame that is held. */
  get first(): HeldFrame | undefined {
    return this.#frames[this.#head];
  }

  frameAt(seq: number): HeldFrame | undefined {
    return seq <= this.applied.seq ? undefined : this.#frames[this.#head + seq - this.applied.seq - 1];
  }

  /** Calls `told` with the frame that the server means by `seq`, now or once {@link resolve} says whether it is ours. */
  whose(seq: number, told: (frame: HeldFrame | undefined) => void): void {
    if (this.isDisputed) this.#doubts.push({ seq, told });
    else told(this.frameAt(seq));
  }

  /** What the server meant up to `seq` was ours, or it was not. */
  resolve(seq: number, owner: 'ours' | 'foreign'): void {
    const resolved = this.#doubts.filter((doubt) => doubt.seq <= seq);
    this.#doubts = this.#doubts.filter((doubt) => doubt.seq > seq);
    for (const doubt of resolved) doubt.told(owner === 'ours' ? this.frameAt(doubt.seq) : undefined);
  }

  held(): HeldFrame[] {
    return this.#frames.slice(this.#head);
  }

  hold(frame: HeldFrame): void {
    assert(frame.seq === this.assigned.seq + 1 && frame.prev === this.assigned.crc, 'a frame continues its lane');
    this.#frames.push(frame);
    this.assigned = { seq: frame.seq, crc: frame.crc };
  }

  compare(place: Place): Comparison {
    if (place.seq > this.assigned.seq) return 'beyond';
    if (place.seq < this.applied.seq) return 'forgotten';
    const crc = place.seq === this.applied.seq ? this.applied.crc : this.frameAt(place.seq)!.crc;
    return crc === place.crc ? 'agrees' : 'differs';
  }

  /** Moves `durableSeq` over frames that have become durable. */
  advanceDurable(): void {
    for (let next = this.frameAt(this.durableSeq + 1); next?.durable === true; next = this.frameAt(this.durableSeq + 1)) {
      this.durableSeq = next.seq;
    }
  }

  /** A new connection: the server holds everything up to `seq`, nothing of the rest was sent. */
  reopen(seq: number): void {
    // What is not final is told again.
    this.#doubts = [];
    this.storedSeq = Math.max(seq, this.applied.seq);
    this.sentSeq = this.storedSeq;
    this.outstandingBytes = 0;
  }

  /** The next frame that is durable and not sent. */
  get sendable(): HeldFrame | undefined {
    return this.sentSeq < this.durableSeq ? this.frameAt(this.sentSeq + 1) : undefined;
  }

  markSent(frame: HeldFrame): void {
    assert(frame.seq === this.sentSeq + 1 && frame.durable, 'frames are sent in order, and durable');
    this.sentSeq = frame.seq;
    if (frame.seq > this.storedSeq) this.outstandingBytes += frame.bytes.length;
  }

  markStored(seq: number): void {
    if (seq <= this.storedSeq) return;
    const last = Math.min(seq, this.sentSeq);
    for (let one = this.storedSeq + 1; one <= last; one++) this.outstandingBytes -= this.frameAt(one)!.bytes.length;
    this.storedSeq = seq;
    assert(this.outstandingBytes >= 0, 'no more is taken from what is outstanding than was sent');
  }

  /** Forgets everything up to `place`, which agrees with this lane; returns what was forgotten, oldest first. */
  markApplied(place: Place): HeldFrame[] {
    assert(this.compare(place) === 'agrees', 'only an agreeing APPLIED covers frames');
    this.markStored(place.seq);
    const dropped = this.#frames.slice(this.#head, this.#head + place.seq - this.applied.seq);
    this.#head += dropped.length;
    // Copied down when more than half is dead, so that forgetting costs the same however much is held.
    if (this.#head * 2 > this.#frames.length) {
      this.#frames.splice(0, this.#head);
      this.#head = 0;
    }
    this.applied = place;
    this.sentSeq = Math.max(this.sentSeq, place.seq);
    this.durableSeq = Math.max(this.durableSeq, place.seq);
    return dropped;
  }

  /** The server wants everything from `seq` again; what was sent above does not count any more. */
  rewind(seq: number): void {
    assert(seq > this.applied.seq && seq <= this.assigned.seq + 1, 'a rewind asks for something that is held');
    this.storedSeq = seq - 1;
    this.sentSeq = seq - 1;
    this.outstandingBytes = 0;
  }
}
