import type { Place, SeqByPartition, StreamId } from './stream.ts';

/**
 * How far the sinks are, for whoever acknowledges. Ingest knows no sink: it is given one of these.
 */
export interface Progress {
  /**
   * Reads a stream's watermarks from the required sinks afresh (the lowest where there are several), then dead letters
   * above `told` (seq by partition; 0 where missing) and at or below those watermarks: not more than fit in memory. What is
   * above `above` survives a crash of the sinks.
   * Rejects with a transient {@link SyncError} while a sink cannot be read.
   */
  read(stream: StreamId, above: SeqByPartition, told?: SeqByPartition): Promise<StreamProgress>;
  /**
   * Ends a stream of `producer` in the required sinks: nothing of it is applied from then on, also after a crash of a sink.
   * Rejects with a {@link SyncError} `stream_owned_by_other`, or a transient one.
   */
  end(stream: StreamId, producer: string): Promise<void>;
  /** Calls `listener` after every commit that moved watermarks; returns how to stop. */
  watch(listener: (advance: Advance) => void): () => void;
}

export interface StreamProgress {
  readonly status: 'known' | 'unknown' | 'expired';
  readonly producer: string | undefined;
  readonly watermarks: ReadonlyMap<number, Place>;
  /** In order of partition and seq. */
  readonly rejections: readonly SinkRejection[];
  /** Partitions of which there may be more dead letters, and the seq up to which they are here. */
  readonly cut: SeqByPartition;
}

/** One REJECTED frame: committed dead letters of one batch in one sink. */
export interface SinkRejection {
  readonly sink: string;
  readonly partition: number;
  readonly seq: number;
  readonly code: string;
  readonly message: string;
  /** Indexes of the changes in the batch; empty means the whole batch. */
  readonly changes: readonly number[];
}

/** A commit that returned: in one partition, one stream's watermark moved from `before` to `after`. */
export interface Advance {
  readonly stream: StreamId;
  readonly partition: number;
  readonly before: Place;
  readonly after: Place;
  /** The dead letters that were committed with it, in order of seq. */
  readonly rejections: readonly SinkRejection[];
}
