import { type Place, START } from '../core/stream.ts';

/** What one session knows of its stream in one partition: what it told the client, and what it still has to tell. */
export class Lane {
  readonly partition: number;
  /** The client holds nothing at or below this: its `oldest` less one. It is never asked for that again. */
  readonly forgotten: number;
  /** The newest place told as STORED or APPLIED, or due to be. Lowered by REWIND only. */
  stored: Place = START;
  /** The newest place told as APPLIED, or due to be. Never goes back. */
  applied: Place = START;
  /** Dead letters were told up to here, where that is above {@link settledSeq}. */
  #rejectedUpTo = 0;
  /** How far the stream was when a look first found more dead letters than it could read. */
  cutAt: Place | undefined;
  storedDue = false;
  appliedDue = false;
  rewindDue: { readonly seq: number; readonly reason: string } | undefined;
  /** The seq that the last REWIND asked for, until it arrives; 0 when nothing is asked for. */
  awaited = 0;
  /** The highest seq that was thrown away because of a gap and is not asked for; 0 when none. */
  thrownAway = 0;
  /** Since when the client has waited for the next APPLIED. */
  waitingSinceMs = 0;
  appliedSentMs = 0;
  /** In the list of those with something due. */
  listed = false;

  constructor(partition: number, forgotten: number) {
    this.partition = partition;
    this.forgotten = forgotten;
  }

  /** What the client may have forgotten by now: it was told APPLIED, or held nothing there to begin with. */
  get settledSeq(): number {
    return Math.max(this.forgotten, this.applied.seq);
  }

  /** The client was told of all dead letters up to here, or has no need. */
  get rejectedSeq(): number {
    return Math.max(this.settledSeq, this.#rejectedUpTo);
  }

  set rejectedSeq(seq: number) {
    this.#rejectedUpTo = seq;
  }

  get isWaiting(): boolean {
    return this.stored.seq > this.applied.seq;
  }

  /** Nobody waits any more for what the last REWIND asked for. What was thrown away until now comes behind it. */
  stopAwaiting(): void {
    this.awaited = 0;
    this.thrownAway = 0;
  }
}
