import type { Row } from '../../src/core/change.ts';
import type { Place, StreamId } from '../../src/core/stream.ts';
import type { DeadLetter, LockedPartition, Shape, Sink, SinkTransaction, StreamClaim, WriteGroup } from '../../src/sinks/sink.ts';

/** Begins a transaction that locks watermarks of one partition only. */
export async function beginIn(sink: Sink, partition: number, streams: readonly StreamClaim[]): Promise<OnePartition> {
  return new OnePartition(await sink.begin([{ partition, streams }]));
}

/** A transaction with the watermarks of one partition. */
export class OnePartition {
  readonly #inner: SinkTransaction;
  readonly #locked: LockedPartition;

  constructor(inner: SinkTransaction) {
    this.#inner = inner;
    this.#locked = inner.partitions[0] as LockedPartition;
  }

  get watermarks(): LockedPartition['watermarks'] {
    return this.#locked.watermarks;
  }

  get refused(): LockedPartition['refused'] {
    return this.#locked.refused;
  }

  write(groups: readonly WriteGroup[]) {
    return this.#inner.write(groups);
  }

  writeOne(shape: Shape, row: Row) {
    return this.#inner.writeOne(shape, row);
  }

  commit(places: ReadonlyMap<StreamId, Place>, deadLetters: readonly DeadLetter[]) {
    return this.#inner.commit([{ partition: this.#locked.partition, places }], deadLetters);
  }

  rollback() {
    return this.#inner.rollback();
  }
}
