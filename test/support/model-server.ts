import { strict as assert } from 'node:assert';
import { type Place, raise, START } from '../../src/core/stream.ts';
import { decodeBatch } from '../../src/protocol/batch.ts';
import { FRAME, type Frame } from '../../src/protocol/frame.ts';
import { type FakeLink, placeOf } from './fake-network.ts';
import type { SeededRandom } from './seeded-random.ts';

const PARTITIONS = 3;

/** A row that {@link ModelServer} applied or refused. */
export interface ModelRow {
  readonly partition: number;
  readonly n: number;
}

/**
 * A server that keeps the rules of the wire and nothing else: a queue that may lose anything at any time, a sink that
 * loses nothing, and sessions. Every act is one that the test chooses.
 */
export class ModelServer {
  /** What was applied, in order. */
  readonly applied: ModelRow[] = [];
  /** What was refused for good. */
  readonly rejected: ModelRow[] = [];
  readonly #random: SeededRandom;
  readonly #lists = Array.from({ length: PARTITIONS }, () => [] as { readonly stream: string; readonly frame: Frame }[]);
  readonly #stored = new Map<string, Place>();
  readonly #watermarks = new Map<string, Place>();
  readonly #deadLetters: { readonly stream: string; readonly partition: number; readonly seq: number; readonly changes: number[] }[] = [];
  /** Frames of connections that are gone and arrive late. */
  #stragglers: { readonly stream: string; readonly frame: Frame }[] = [];
  #session: ModelSession | undefined;

  constructor(random: SeededRandom) {
    this.#random = random;
  }

  accept(link: FakeLink): void {
    const session = new ModelSession(link);
    link.onFrame = (frame) => {
      if (frame.type === FRAME.hello) this.#open(session);
      else if (frame.type === FRAME.batch) this.#receive(session, frame);
    };
    link.onClose = () => {
      for (const frame of session.unread) this.#stragglers.push({ stream: session.stream, frame });
      if (this.#session === session) this.#session = undefined;
    };
  }

  /** Does something that a server, a network or an operator may do. */
  act(): void {
    const session = this.#session;
    const acts: [number, () => void][] = [
      [30, () => this.#read(session)],
      [30, () => this.#apply(this.#random.below(PARTITIONS), 1 + this.#random.below(4))],
      [30, () => session?.answer()],
      [3, () => this.#wipe()],
      [3, () => this.#rollBack()],
      [10, () => this.#look()],
      [4, () => this.#straggle()],
      [4, () => session?.link.drop()],
      [1, () => session?.link.goaway(this.#random.below(500))],
      [3, () => session?.setCredit(this.#random.chance(0.5) ? 0 : MODEL_CREDIT)],
      [3, () => this.#repeat(session)],
      [2, () => session?.link.send({ type: FRAME.ping })],
    ];
    let pick = this.#random.below(acts.reduce((sum, [weight]) => sum + weight, 0));
    for (const [weight, act] of acts) {
      pick -= weight;
      if (pick < 0) return act();
    }
  }

  /** Everything goes well for once. */
  calm(): void {
    const session = this.#session;
    session?.setCredit(MODEL_CREDIT);
    this.#straggle();
    this.#read(session);
    for (let partition = 0; partition < PARTITIONS; partition++) this.#apply(partition, 100);
    this.#look();
    session?.answer();
  }

  #open(session: ModelSession): void {
    const { link } = session;
    const hello = link.hello!;
    session.stream = hello.stream;
    // A takeover: the other connection's frames may still arrive.
    this.#session?.link.error('stream_taken_over');
    this.#session = session;
    const stored = new Map<number, Place>();
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const place = this.#raise(hello.stream, partition);
      if (place.seq > 0) stored.set(partition, place);
      session.told.set(partition, place);
    }
    session.credit = this.#random.chance(0.2) ? 0 : MODEL_CREDIT;
    link.welcome({ partitions: PARTITIONS, stored, creditBytes: session.credit });
    for (const { stream, partition, seq, changes } of this.#deadLetters) {
      if (stream === hello.stream && seq >= (hello.oldest.get(partition) ?? 1))
        session.say(() => link.rejected(partition, seq, { changes }));
    }
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const watermark = this.#place(this.#watermarks, hello.stream, partition);
      assert(watermark.seq >= (hello.oldest.get(partition) ?? 1) - 1, 'a client forgets only what is applied');
      if (watermark.seq > 0) session.say(() => session.sayApplied(partition, watermark));
    }
  }

  #receive(session: ModelSession, frame: Frame): void {
    session.count(frame);
    session.unread.push(frame);
  }

  #read(session: ModelSession | undefined): void {
    if (session === undefined) return;
    for (const frame of session.unread.splice(0)) {
      if (session.link.isClosed) this.#stragglers.push({ stream: session.stream, frame });
      else this.#judge(session, frame);
    }
  }

  #judge(session: ModelSession, frame: Frame): void {
    const { partition, seq } = frame;
    const stored = this.#place(this.#stored, session.stream, partition);
    if (seq === session.awaited.get(partition)) session.awaited.delete(partition);
    if (this.#append(session.stream, frame) === 'mismatch') return session.link.error('seq_content_mismatch');
    if (seq > stored.seq + 1) {
      if (!session.awaited.has(partition)) this.#askAgain(session, partition);
      return;
    }
    const now = this.#place(this.#stored, session.stream, partition);
    session.told.set(partition, now);
    session.say(() => session.sayStored(partition, now));
  }

  #append(stream: string, frame: Frame): 'appended' | 'duplicate' | 'gap' | 'mismatch' {
    const { partition, seq, prev } = frame;
    const stored = this.#place(this.#stored, stream, partition);
    if (seq <= stored.seq) return 'duplicate';
    if (seq > stored.seq + 1) return 'gap';
    if (prev !== stored.crc) return 'mismatch';
    this.#lists[partition]!.push({ stream, frame });
    this.#stored.set(`${stream} ${partition}`, placeOf(frame));
    return 'appended';
  }

  #askAgain(session: ModelSession, partition: number): void {
    const { seq } = this.#raise(session.stream, partition);
    session.told.set(partition, this.#place(this.#stored, session.stream, partition));
    session.awaited.set(partition, seq + 1);
    session.say(() => session.sayRewind(partition, seq + 1));
  }

  #apply(partition: number, count: number): void {
    for (const { stream, frame } of this.#lists[partition]!.splice(0, count)) {
      const watermark = this.#place(this.#watermarks, stream, partition);
      if (frame.seq <= watermark.seq) continue;
      if (frame.seq !== watermark.seq + 1 || frame.prev !== watermark.crc) {
        this.#setBack(stream, partition);
        continue;
      }
      this.#commit(stream, frame);
    }
  }

  #commit(stream: string, frame: Frame): void {
    const { partition, seq } = frame;
    const refused: number[] = [];
    const rows = decodeBatch(frame.payload).groups.flatMap(({ columns, rows: values }) =>
      values.map((row) => ({ n: row[columns.indexOf('n')] as number, bad: row[columns.indexOf('bad')] === true })),
    );
    for (const [index, { n, bad }] of rows.entries()) {
      (bad ? this.rejected : this.applied).push({ partition, n });
      if (bad) refused.push(index);
    }
    this.#watermarks.set(`${stream} ${partition}`, placeOf(frame));
    if (refused.length > 0) this.#deadLetters.push({ stream, partition, seq, changes: refused });
    const session = this.#session;
    if (session === undefined || session.stream !== stream) return;
    if (refused.length > 0) session.say(() => session.link.rejected(partition, seq, { changes: refused }));
    session.say(() => session.sayApplied(partition, placeOf(frame)));
    const told = session.told.get(partition) ?? START;
    if (told.seq < seq) session.told.set(partition, placeOf(frame));
    if ((session.awaited.get(partition) ?? Infinity) <= seq) session.awaited.delete(partition);
  }

  #wipe(): void {
    for (const list of this.#lists) list.length = 0;
    this.#stored.clear();
  }

  /** A replica that lagged takes over. */
  #rollBack(): void {
    for (const list of this.#lists) {
      for (const { stream, frame } of list.splice(this.#random.below(list.length + 1)).reverse()) {
        this.#stored.set(`${stream} ${frame.partition}`, { seq: frame.seq - 1, crc: frame.prev });
      }
    }
  }

  /** What a session does after every reconnect to the queue and every few seconds. */
  #look(): void {
    for (const [key, stored] of this.#stored) {
      const [stream, partition] = key.split(' ') as [string, string];
      const isThere = this.#lists[Number(partition)]!.some((one) => one.stream === stream);
      if (!isThere && stored.seq > this.#place(this.#watermarks, stream, Number(partition)).seq) this.#setBack(stream, Number(partition));
    }
    const session = this.#session;
    if (session === undefined) return;
    for (const [partition, told] of session.told) {
      if (told.seq > this.#raise(session.stream, partition).seq) this.#askAgain(session, partition);
    }
  }

  #straggle(): void {
    for (const { stream, frame } of this.#stragglers.splice(0)) this.#append(stream, frame);
  }

  #repeat(session: ModelSession | undefined): void {
    if (session === undefined) return;
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const watermark = this.#place(this.#watermarks, session.stream, partition);
      if (watermark.seq > 0) session.say(() => session.sayApplied(partition, watermark));
    }
  }

  #setBack(stream: string, partition: number): void {
    const watermark = this.#place(this.#watermarks, stream, partition);
    if (this.#place(this.#stored, stream, partition).seq >= watermark.seq) this.#stored.set(`${stream} ${partition}`, watermark);
  }

  #raise(stream: string, partition: number): Place {
    const place = raise(this.#place(this.#stored, stream, partition), this.#place(this.#watermarks, stream, partition));
    this.#stored.set(`${stream} ${partition}`, place);
    return place;
  }

  #place(places: ReadonlyMap<string, Place>, stream: string, partition: number): Place {
    return places.get(`${stream} ${partition}`) ?? START;
  }
}

/** The window of every session: a few frames. */
export const MODEL_CREDIT = 600;

class ModelSession {
  readonly link: FakeLink;
  stream = '';
  credit = 0;
  /** Frames that came and were not looked at yet. */
  readonly unread: Frame[] = [];
  /** Newest place told, or about to be told, as STORED or APPLIED. */
  readonly told = new Map<number, Place>();
  readonly awaited = new Map<number, number>();
  readonly #answers: (() => void)[] = [];
  /** Sent by the client and above the last STORED that it saw, by partition: seq and bytes. */
  readonly #outstanding = new Map<number, Map<number, number>>();
  readonly #seen = new Map<number, number>();

  constructor(link: FakeLink) {
    this.link = link;
  }

  /** Answers are sent in order, and later. */
  say(answer: () => void): void {
    this.#answers.push(answer);
  }

  answer(): void {
    for (const answer of this.#answers.splice(0)) answer();
  }

  setCredit(bytes: number): void {
    this.credit = bytes;
    this.link.credit(bytes);
  }

  sayStored(partition: number, place: Place): void {
    this.#saw(partition, place.seq);
    this.link.stored(partition, place);
  }

  sayApplied(partition: number, place: Place): void {
    this.#saw(partition, place.seq);
    this.link.applied(partition, place);
  }

  sayRewind(partition: number, seq: number): void {
    this.#outstanding.delete(partition);
    this.#seen.set(partition, seq - 1);
    this.link.rewind(partition, seq);
  }

  /** Checks that the client keeps to the window. */
  count({ partition, seq, bytes }: Frame): void {
    assert(this.credit > 0, 'nothing is sent without credit');
    if (seq <= (this.#seen.get(partition) ?? 0)) return;
    const frames = this.#outstanding.get(partition) ?? new Map<number, number>();
    frames.set(seq, bytes.length);
    this.#outstanding.set(partition, frames);
    const sizes = [...this.#outstanding.values()].flatMap((one) => [...one.values()]);
    const sum = sizes.reduce((a, b) => a + b, 0);
    assert(sizes.length === 1 || sum <= this.credit, `${sum} bytes in ${sizes.length} frames are outstanding, ${this.credit} are allowed`);
  }

  #saw(partition: number, seq: number): void {
    if (seq > (this.#seen.get(partition) ?? 0)) this.#seen.set(partition, seq);
    for (const one of this.#outstanding.get(partition)?.keys() ?? []) if (one <= seq) this.#outstanding.get(partition)!.delete(one);
  }
}
