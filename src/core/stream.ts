import { randomHex, type Random } from './random.ts';

/**
 * Streams and places in them.
 *
 * A stream id is one incarnation of a producer: 128 random bits, here always as 32 lower-case hex digits.
 * A {@link Place} names a frame within (stream, partition): `seq` counts 1, 2, 3, … without gaps, and `crc` is the
 * CRC-32 of that frame, which the next frame must name in `prev`. Seq 0 with crc 0 is the place before the first frame.
 */
export type StreamId = string;

/** What a {@link StreamId} looks like. */
export const STREAM_ID = /^[0-9a-f]{32}$/;

export interface Place {
  readonly seq: number;
  readonly crc: number;
}

/** A seq for each partition that is named. */
export type SeqByPartition = ReadonlyMap<number, number>;

export const START: Place = { seq: 0, crc: 0 };

/** What a stream carries: a client's changes over time, or those of one HTTP request with an `Idempotency-Key`. */
export type StreamKind = 'client' | 'request';

/** The first four bytes of the id of a `request` stream, `HTTP` in ASCII. No client of the network may use such an id. */
export const REQUEST_STREAM_TAG = '48545450';

/** The id of a new stream of kind `client`. */
export function newStreamId(random: Random): StreamId {
  for (;;) {
    const id = randomHex(random, 16);
    if (kindOfStream(id) === 'client') return id;
  }
}

export function kindOfStream(stream: StreamId): StreamKind {
  return stream.startsWith(REQUEST_STREAM_TAG) ? 'request' : 'client';
}

/** The most partitions an installation can have; partitions are numbered from 0. */
export const MAX_PARTITIONS = 256;
/** The largest frame that a server may be configured to take, also after expansion. */
export const LARGEST_FRAME_BYTES = 64 * 1024 * 1024;
/** Changes in one batch, as the protocol bounds them: what its rows take once they are decoded, some hundred times their bytes at worst. */
export const MAX_BATCH_CHANGES = 65_536;
/** What one datagram can hold: a packet of IP has 65,535 bytes, of which IP and UDP take 28. */
export const MAX_DATAGRAM_BYTES = 65_507;

/** What {@link judge} decides about a frame. */
export type Verdict = 'append' | 'duplicate' | 'gap' | 'mismatch';

/**
 * The contiguity rule: judges a frame with `seq` and `prev` against `stored`, the last place the queue recorded.
 * At or below it is a `duplicate`, the next one is an `append` when it names the crc at `stored` and a `mismatch`
 * when it names another, anything above is a `gap`.
 * The Redis append script states the same rule in Lua; the queue contract suite runs both.
 */
export function judge(stored: Place, seq: number, prev: number): Verdict {
  if (seq <= stored.seq) return 'duplicate';
  if (seq > stored.seq + 1) return 'gap';
  return prev === stored.crc ? 'append' : 'mismatch';
}

/** The floor rule: the higher place wins, and at equal seq the floor's crc wins, because the sink is the truth. */
export function raise(stored: Place, floor: Place): Place {
  return floor.seq >= stored.seq ? floor : stored;
}

export function samePlace(a: Place, b: Place): boolean {
  return a.seq === b.seq && a.crc === b.crc;
}
