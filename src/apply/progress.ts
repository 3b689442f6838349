import { SyncError } from '../core/errors.ts';
import type { Advance, Progress, SinkRejection, StreamProgress } from '../core/progress.ts';
import type { Place, SeqByPartition, StreamId } from '../core/stream.ts';
import type { Sink, StreamClaim } from '../sinks/sink.ts';
import type { StreamMove } from './task.ts';

/** A few megabytes at most, with messages of 2,000 characters; each session may be given so much. */
const REJECTIONS_AT_ONCE = 1_000;

/**
 * How far the required sinks are, for whoever acknowledges: reads on demand, and the news of commits that returned.
 * Reads go to the sinks every time; nothing is answered from memory.
 */
export class SinkProgress implements Progress {
  readonly #sinks: readonly Sink[];
  readonly #rejectionsAtOnce: number;
  readonly #listeners = new Set<(advance: Advance) => void>();
  /** By producer and stream. */
  readonly #ending = new Map<string, Promise<void>>();

  /** `sinks` are the required ones: at least one. So many rejected changes are read at once, or those of one batch. */
  constructor(sinks: readonly Sink[], rejectionsAtOnce = REJECTIONS_AT_ONCE) {
    this.#sinks = sinks;
    this.#rejectionsAtOnce = rejectionsAtOnce;
  }

  /**
   * The stream's lowest watermark of all sinks, by partition, and then the dead letters above `told` and at or below it.
   * In this order: a dead letter is in the same commit as the watermark that covers it, so none can be missed. What is
   * above `above` survives a crash of the sinks: whoever is told of it forgets the changes.
   */
  async read(stream: StreamId, above: SeqByPartition, told = above): Promise<StreamProgress> {
    const states = await Promise.all(this.#sinks.map((sink) => sink.readStream(stream)));
    const expired = states.some(({ status }) => status === 'expired');
    const known = states.some(({ status }) => status === 'known');
    const watermarks = lowest(states.map((state) => state.watermarks));
    const isNews = [...watermarks].some(([partition, { seq }]) => seq > (above.get(partition) ?? 0));
    if (isNews) await Promise.all(this.#sinks.map(async (sink) => sink.harden?.()));
    const upTo = new Map([...watermarks].map(([partition, { seq }]) => [partition, seq]));
    const all: SinkRejection[] = [];
    const cut = new Map<number, number>();
    for (const sink of this.#sinks) {
      const page = await sink.readRejections(stream, told, upTo, this.#rejectionsAtOnce);
      for (const [partition, seq] of page.cut) cut.set(partition, Math.min(seq, cut.get(partition) ?? seq));
      for (const rejection of page.rejections) all.push({ sink: sink.name, ...rejection });
    }
    const rejections = all.filter(({ partition, seq }) => seq <= (cut.get(partition) ?? seq));
    rejections.sort((a, b) => a.partition - b.partition || a.seq - b.seq);
    const producer = states.find((state) => state.producer !== undefined)?.producer;
    return { status: expired ? 'expired' : known ? 'known' : 'unknown', producer, watermarks, rejections, cut };
  }

  /** Whoever asks again while it is under way waits for the same: a sink that does not answer has one question of it. */
  end(stream: StreamId, producer: string): Promise<void> {
    const name = `${producer} ${stream}`;
    let ending = this.#ending.get(name);
    if (ending === undefined) {
      ending = this.#end({ stream, producer }).finally(() => this.#ending.delete(name));
      this.#ending.set(name, ending);
    }
    return ending;
  }

  async #end(claim: StreamClaim): Promise<void> {
    for (const sink of this.#sinks) {
      if ((await sink.endStream(claim)) === 'owned by other')
        throw new SyncError(
          'stream_owned_by_other',
          `stream ${claim.stream}, which was to be ended, belongs to another producer than ${claim.producer}`,
        );
    }
  }

  watch(listener: (advance: Advance) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Tells what a commit moved. With one required sink its commits are the progress. */
  advanced(sink: string, partition: number, move: StreamMove): void {
    const rejections = move.rejections.map((rejection) => ({ sink, ...rejection }));
    const advance = { stream: move.stream, partition, before: move.before, after: move.after, rejections };
    for (const listener of this.#listeners) listener(advance);
  }
}

/** By partition, the lowest of the watermarks; a partition that one of the sinks does not know has none. */
function lowest(all: readonly ReadonlyMap<number, Place>[]): Map<number, Place> {
  const [first, ...others] = all;
  const result = new Map<number, Place>();
  for (const [partition, place] of first ?? []) {
    let low: Place | undefined = place;
    for (const other of others) {
      const there = other.get(partition);
      if (there === undefined || (low !== undefined && there.seq < low.seq)) low = there;
    }
    if (low !== undefined) result.set(partition, low);
  }
  return result;
}
