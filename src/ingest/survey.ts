import { strict as assert } from 'node:assert';
import { SyncError } from '../core/errors.ts';
import { type Place, type SeqByPartition, START, type StreamId } from '../core/stream.ts';
import type { Queue } from '../queue/queue.ts';
import type { Progress, SinkRejection } from '../core/progress.ts';

/** How far a stream is, read afresh: first the sinks, then the queue, raised to what the sinks say. */
export interface Survey {
  readonly watermarks: ReadonlyMap<number, Place>;
  /** Above what was asked, in order of partition and seq. */
  readonly rejections: readonly SinkRejection[];
  /** Partitions of which there may be more dead letters, and the seq up to which they are here. */
  readonly cut: SeqByPartition;
  /** What the queue records, for every partition that was asked about or has a watermark. */
  readonly stored: ReadonlyMap<number, Place>;
}

export interface Surveyed {
  readonly stream: StreamId;
  readonly producer: string;
  /** By partition, the seq up to which the client holds nothing any more; names every partition that the stream uses. */
  readonly above: SeqByPartition;
  /** By partition, the seq up to which the client was told of dead letters, where that is more. */
  readonly told?: SeqByPartition;
}

/** The sink lacks what the client does not hold any more. */
export class RegressedError extends SyncError {
  /** By partition of the stream, the first seq that the sink does not have. */
  readonly missing: SeqByPartition;

  constructor(message: string, missing: SeqByPartition) {
    super('sink_regressed', message);
    this.missing = missing;
  }
}

/**
 * Reads how far `stream` is and applies the floor rule.
 * @throws {RegressedError}
 * @throws {SyncError} `stream_expired` or `stream_owned_by_other`; transient while the sinks or the queue cannot be read.
 */
export async function survey(progress: Pick<Progress, 'read'>, queue: Queue, surveyed: Surveyed): Promise<Survey> {
  const { stream, producer, above, told } = surveyed;
  const { status, producer: owner, watermarks, rejections, cut } = await progress.read(stream, above, told);
  if (owner !== undefined && owner !== producer) {
    throw new SyncError('stream_owned_by_other', `stream ${stream} belongs to another producer than ${producer}; start a new stream`);
  }
  if (status === 'expired') {
    throw new SyncError(
      'stream_expired',
      `stream ${stream} was idle beyond its retention, or was left for another one, and its watermarks are gone; compare source and target, then start a new stream`,
    );
  }
  requireWatermarks(surveyed, watermarks);
  return { watermarks, rejections, cut, stored: await raiseRecords(queue, surveyed, watermarks) };
}

/** Whether trying again may help: the sinks or the queue are away, or refuse this node; it is nothing about the peer. */
export function mayPass(error: unknown): error is SyncError {
  return error instanceof SyncError && error.kind !== 'connection';
}

/** What the queue records for the stream in every partition of `above` and `floors`, raised to `floors`. */
export async function raiseRecords(
  queue: Queue,
  { stream, producer, above }: Surveyed,
  floors: ReadonlyMap<number, Place>,
): Promise<Map<number, Place>> {
  const partitions = [...new Set([...above.keys(), ...floors.keys()])];
  if (partitions.length === 0) return new Map();
  const places = await queue.raise(partitions.map((partition) => ({ partition, stream, producer, place: floors.get(partition) ?? START })));
  return new Map(
    partitions.map((partition, index) => {
      const place = places[index];
      assert(
        place !== undefined && place.seq >= (floors.get(partition)?.seq ?? 0),
        'what the queue records is at least the floor it was given',
      );
      return [partition, place];
    }),
  );
}

function requireWatermarks({ stream, above }: Surveyed, watermarks: ReadonlyMap<number, Place>): void {
  const seqAt = (partition: number) => (watermarks.get(partition) ?? START).seq;
  for (const [partition, forgotten] of above) {
    if (seqAt(partition) >= forgotten) continue;
    const seq = seqAt(partition);
    throw new RegressedError(
      `stream ${stream}, partition ${partition}: the sink has applied up to ${seq}, the client no longer holds ${seq + 1} to ${forgotten}; ` +
        'compare source and target, then start a new stream',
      new Map([...above.keys()].map((each) => [each, seqAt(each) + 1])),
    );
  }
}
