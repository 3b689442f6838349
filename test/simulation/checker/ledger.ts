import type { SpooledFrame } from '../../../src/client/spool.ts';
import { changesOf, readWireFrame, TYPE, unpack, type WireChange, type WireFrame } from './wire.ts';

/** A batch that a client has made durable, however often and under whatever numbers it travels. */
export interface LedgerBatch {
  readonly partition: number;
  readonly payload: Buffer;
  readonly changes: readonly WireChange[];
  /** `stream partition seq`, one for each stream that carried it. */
  readonly places: string[];
  /** Indexes that REJECTED named; −1 for the whole batch. */
  readonly rejected: Set<number>;
}

/**
 * What one client did and was told, kept beside it over all its processes: every batch in the order in which it became
 * durable, and every acknowledgement that reached it.
 */
export class Ledger {
  readonly client: string;
  /** By partition, in order. */
  readonly batches = new Map<number, LedgerBatch[]>();
  readonly byPlace = new Map<string, LedgerBatch>();
  /** The highest APPLIED, by `stream partition`. */
  readonly applied = new Map<string, number>();
  /** Of what was made durable at a place: more than one where a backup of the client's disk was restored. */
  readonly #crcs = new Map<string, Set<number>>();
  #isRestored = false;

  constructor(client: string) {
    this.client = client;
  }

  /** Numbers that were given away after the backup was made may be given away again. */
  backupRestored(): void {
    this.#isRestored = true;
  }

  appended(stream: string, frames: readonly SpooledFrame[]): void {
    for (const { bytes } of frames) this.#add(stream, readWireFrame(bytes));
  }

  /** The frames of a new stream: batches that were held, and some that were not durable yet, in their order. */
  restarted(stream: string, frames: readonly SpooledFrame[]): void {
    for (const [partition, moved] of Map.groupBy(frames, (frame) => frame.partition)) {
      const wire = moved.map(({ bytes }) => readWireFrame(bytes));
      const known = this.batches.get(partition) ?? [];
      let carried = Math.min(wire.length, known.length);
      while (!wire.slice(0, carried).every(({ payload }, i) => known[known.length - carried + i]!.payload.equals(payload))) carried--;
      for (const [i, frame] of wire.entries()) {
        if (i < carried) this.#place(stream, frame, known[known.length - carried + i]!);
        else this.#add(stream, frame);
      }
    }
  }

  /** A BATCH left the client. Returns what is wrong with that. */
  sent(stream: string, { partition, seq, crc }: WireFrame): string | undefined {
    const known = this.#crcs.get(`${stream} ${partition} ${seq}`);
    if (known === undefined) return `${this.client} sent ${stream} ${partition} ${seq} before it was durable`;
    return known.has(crc) ? undefined : `${this.client} sent ${stream} ${partition} ${seq} with other bytes than it had made durable`;
  }

  rejected(stream: string, { partition, seq, payload }: WireFrame): void {
    const { rejected } = this.byPlace.get(`${stream} ${partition} ${seq}`) ?? {};
    const indexes = (unpack(payload) as Map<string, unknown>).get('changes') as number[];
    for (const index of indexes.length === 0 ? [-1] : indexes) rejected?.add(index);
  }

  #add(stream: string, frame: WireFrame): void {
    if (frame.type !== TYPE.batch) throw new Error('a spool holds nothing but BATCH frames');
    // The very same bytes after the same predecessor are the same batch to everybody, and take effect once.
    if (this.#isRestored && this.#crcs.get(`${stream} ${frame.partition} ${frame.seq}`)?.has(frame.crc) === true) return;
    const batch = {
      partition: frame.partition,
      payload: Buffer.from(frame.payload),
      changes: changesOf(frame.payload),
      places: [],
      rejected: new Set<number>(),
    };
    const list = this.batches.get(frame.partition);
    if (list === undefined) this.batches.set(frame.partition, [batch]);
    else list.push(batch);
    this.#place(stream, frame, batch);
  }

  #place(stream: string, { partition, seq, crc }: WireFrame, batch: LedgerBatch): void {
    const place = `${stream} ${partition} ${seq}`;
    this.#crcs.set(place, (this.#crcs.get(place) ?? new Set()).add(crc));
    // After a backup was restored, the place is taken by what was applied there: this batch has yet to find another.
    if (this.byPlace.has(place)) return;
    batch.places.push(place);
    this.byPlace.set(place, batch);
  }
}
