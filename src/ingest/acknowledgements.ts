// Hot path
import type { Clock } from '../core/clock.ts';
import type { Place, SeqByPartition } from '../core/stream.ts';
import { encodeFrame, FRAME } from '../protocol/frame.ts';
import { encodeRejected, encodeRewind } from '../protocol/messages.ts';
import type { AppendResult } from '../queue/queue.ts';
import { Lane } from './lane.ts';
import type { Outbox } from './outbox.ts';
import type { SinkRejection, StreamProgress } from '../core/progress.ts';

/**
 * What a judged frame asks of the session besides its acknowledgement.
 * - `rewind`: it was thrown away; read afresh how far the sinks and the queue are, then ask for what is missing.
 * - `recheck`: the queue holds less than was acknowledged; likewise.
 * - `refused`: close; the stream's content or owner is another.
 */
export type Consequence = 'none' | 'rewind' | 'recheck' | 'refused';

/** What a look at the sinks finds of a stream. */
type Found = Pick<StreamProgress, 'watermarks' | 'rejections' | 'cut'>;

/** REJECTED frames that wait for a peer that does not read, beyond what one look at the sinks brings. */
const MAX_REJECTIONS = 1_024;

/**
 * The acknowledgements of one session. They are cumulative: what becomes due within one turn, or while the peer does not
 * read, is told once per partition with its newest state.
 *
 * The order on the wire is REWIND, STORED, REJECTED, APPLIED. A REJECTED thereby goes before the APPLIED that covers it,
 * and a REWIND before an APPLIED that lets the client forget what the REWIND asks for.
 */
export class Acknowledgements {
  readonly #outbox: Outbox;
  readonly #clock: Clock;
  readonly #lanes: (Lane | undefined)[] = [];
  readonly #listed: Lane[] = [];
  #rejections: SinkRejection[] = [];
  #scheduled = false;
  #started = false;
  #rewindCount = 0;
  /** There are dead letters beyond those that were found. */
  #hasMore = false;
  readonly #lookForMore: () => void;

  /** `lookForMore` is called when those dead letters are sent beyond which there are more. */
  constructor(outbox: Outbox, clock: Clock, lookForMore: () => void) {
    this.#outbox = outbox;
    this.#clock = clock;
    this.#lookForMore = lookForMore;
  }

  /** Somebody will look at the sinks as soon as the peer has read what it was sent. */
  get hasMore(): boolean {
    return this.#hasMore;
  }

  get rewindCount(): number {
    return this.#rewindCount;
  }

  /** Nothing is sent before this: WELCOME comes first. */
  start(): void {
    this.#started = true;
    this.#schedule();
  }

  /** The lane of a partition; made when it is first used. `forgotten` matters only then. */
  lane(partition: number, forgotten = 0): Lane {
    return (this.#lanes[partition] ??= new Lane(partition, forgotten));
  }

  /** Whether frames were thrown away that nobody asked for again yet. */
  get owesRewind(): boolean {
    for (const lane of this.#lanes) if (lane !== undefined && lane.thrownAway > 0 && lane.awaited === 0) return true;
    return false;
  }

  *lanes(): Generator<Lane> {
    for (const lane of this.#lanes) if (lane !== undefined) yield lane;
  }

  get isWaiting(): boolean {
    for (const lane of this.#lanes) if (lane !== undefined && lane.isWaiting) return true;
    return false;
  }

  /** Above which places a look at the sinks finds news: watermarks above `above`, dead letters above `told`. */
  standing(): { readonly above: SeqByPartition; readonly told: SeqByPartition } {
    const above = new Map<number, number>();
    const told = new Map<number, number>();
    for (const lane of this.lanes()) {
      above.set(lane.partition, lane.settledSeq);
      told.set(lane.partition, lane.rejectedSeq);
    }
    return { above, told };
  }

  /** Takes in what the queue said about the frame with `seq`. */
  judged(partition: number, seq: number, { verdict, stored }: AppendResult): Consequence {
    const lane = this.lane(partition);
    if (seq === lane.awaited) lane.stopAwaiting();
    if (verdict === 'append' || verdict === 'duplicate') {
      // Rolled back. STORED is not told below what was told: REWIND takes it back.
      if (stored.seq < lane.stored.seq) return 'recheck';
      this.stored(lane, stored);
      return 'none';
    }
    if (verdict !== 'gap') return 'refused';
    if (seq > lane.thrownAway) lane.thrownAway = seq;
    return lane.awaited === 0 ? 'rewind' : 'none';
  }

  /** `place` is stored; repeated to the client even where it was told before. */
  stored(lane: Lane, place: Place): void {
    if (!lane.isWaiting) lane.waitingSinceMs = this.#clock.monotonicMs();
    lane.stored = place;
    if (lane.awaited !== 0 && place.seq >= lane.awaited) lane.stopAwaiting();
    if (place.seq >= lane.thrownAway) lane.thrownAway = 0;
    if (place.seq === 0) return;
    lane.storedDue = true;
    this.#list(lane);
  }

  /**
   * A look at the sinks found this of `lane`'s stream. Where there are more dead letters than were read, only those are told,
   * and the APPLIED that covers them waits for the rest.
   */
  found(lane: Lane, { watermarks, rejections, cut }: Found): void {
    const { partition } = lane;
    const watermark = watermarks.get(partition);
    if (watermark === undefined || watermark.seq <= lane.applied.seq) return;
    // The sink was set back: what it rejects anew is told anew.
    if (watermark.seq < lane.rejectedSeq) lane.rejectedSeq = watermark.seq;
    const own = rejections.filter((rejection) => rejection.partition === partition);
    const readUpTo = cut.get(partition);
    if (readUpTo === undefined) return this.applied(lane, watermark, own);
    this.#hasMore = true;
    this.#schedule();
    if (this.#rejections.length > MAX_REJECTIONS) return;
    this.#tell(lane, own);
    lane.rejectedSeq = Math.max(lane.rejectedSeq, readUpTo);
    // The end of what is read moves on while it is read; where it was at first is reached.
    lane.cutAt ??= watermark;
    if (lane.cutAt.seq <= lane.rejectedSeq) this.applied(lane, lane.cutAt, []);
  }

  /**
   * `place` is applied, with these dead letters up to it; only what is news is told. Does nothing while more than
   * {@link MAX_REJECTIONS} wait for the peer to read: the look at the sinks that comes then brings it again.
   */
  applied(lane: Lane, place: Place, rejections: readonly SinkRejection[]): void {
    if (place.seq <= lane.applied.seq) return;
    if (this.#rejections.length > MAX_REJECTIONS) {
      this.#hasMore = true;
      return;
    }
    this.#tell(lane, rejections);
    lane.applied = place;
    lane.cutAt = undefined;
    // APPLIED counts as STORED.
    if (place.seq > lane.stored.seq) lane.stored = place;
    // The client may forget what it was asked for: waiting for that would wedge the stream.
    if (lane.awaited !== 0 && place.seq >= lane.awaited) lane.stopAwaiting();
    lane.waitingSinceMs = this.#clock.monotonicMs();
    lane.appliedDue = true;
    this.#list(lane);
  }

  /** Asks for everything above `place`. */
  rewind(lane: Lane, place: Place, reason: string): void {
    const seq = place.seq + 1;
    lane.stopAwaiting();
    lane.stored = place;
    lane.storedDue = false;
    lane.awaited = seq;
    lane.rewindDue = { seq, reason };
    this.#rewindCount++;
    this.#list(lane);
  }

  /** Tells the newest APPLIED again where the client waits and has heard nothing for `intervalMs`. */
  repeatApplied(intervalMs: number): void {
    const nowMs = this.#clock.monotonicMs();
    for (const lane of this.#lanes) {
      if (lane === undefined || !lane.isWaiting || lane.applied.seq === 0) continue;
      if (nowMs - lane.appliedSentMs < intervalMs) continue;
      lane.appliedDue = true;
      this.#list(lane);
    }
  }

  /** Sends what is due, unless the peer does not read. */
  flush(): void {
    if (!this.#started || this.#outbox.isBlocked()) return;
    for (const lane of this.#listed) {
      if (lane.rewindDue === undefined) continue;
      const { seq, reason } = lane.rewindDue;
      this.#outbox.send(encodeFrame({ type: FRAME.rewind, partition: lane.partition, seq, payload: encodeRewind({ reason }) }));
      lane.rewindDue = undefined;
    }
    for (const lane of this.#listed) {
      if (!lane.storedDue) continue;
      this.#send(FRAME.stored, lane, lane.stored);
      lane.storedDue = false;
    }
    // APPLIED waits until every REJECTED is out.
    if (!this.#flushRejections()) return;
    const nowMs = this.#clock.monotonicMs();
    for (const lane of this.#listed) {
      lane.listed = false;
      if (!lane.appliedDue) continue;
      this.#send(FRAME.applied, lane, lane.applied);
      lane.appliedDue = false;
      lane.appliedSentMs = nowMs;
    }
    this.#listed.length = 0;
    if (!this.#hasMore) return;
    this.#hasMore = false;
    this.#lookForMore();
  }

  #tell(lane: Lane, rejections: readonly SinkRejection[]): void {
    for (const rejection of rejections) if (rejection.seq > lane.rejectedSeq) this.#rejections.push(rejection);
  }

  #flushRejections(): boolean {
    if (this.#rejections.length === 0) return true;
    let sent = 0;
    while (sent < this.#rejections.length && !this.#outbox.isBlocked()) {
      const { partition, seq, sink, code, message, changes } = this.#rejections[sent++]!;
      this.#outbox.send(encodeFrame({ type: FRAME.rejected, partition, seq, payload: encodeRejected({ sink, code, message, changes }) }));
    }
    this.#rejections = this.#rejections.slice(sent);
    return this.#rejections.length === 0;
  }

  #send(type: number, { partition }: Lane, { seq, crc }: Place): void {
    this.#outbox.send(encodeFrame({ type, partition, seq, prev: crc }));
  }

  #list(lane: Lane): void {
    if (!lane.listed) {
      lane.listed = true;
      this.#listed.push(lane);
    }
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled || !this.#started) return;
    this.#scheduled = true;
    this.#clock.defer(this.#flushTurn);
  }

  readonly #flushTurn = (): void => {
    this.#scheduled = false;
    this.flush();
  };
}
