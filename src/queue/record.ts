import { judge, raise, samePlace, type Place } from '../core/stream.ts';
import type { AppendEntry, AppendResult, Floor } from './queue.ts';

/**
 * What a queue records of a stream in a partition, and the rules that change it. The memory and the embedded queue run
 * these; the scripts of Redis state them in Lua. One contract suite runs all three.
 */
export interface StreamRecord {
  readonly producer: string;
  readonly place: Place;
  /** Of the stream's last push; 0 when it was only raised. */
  readonly ordinal: number;
}

/** Contiguity and ownership: what becomes of `entry`. */
export function judgeEntry(
  record: StreamRecord | undefined,
  entry: Pick<AppendEntry, 'producer' | 'seq' | 'prev'>,
): AppendResult['verdict'] {
  if (record === undefined) return judge({ seq: 0, crc: 0 }, entry.seq, entry.prev);
  if (record.producer !== entry.producer) return 'owned_by_other';
  return judge(record.place, entry.seq, entry.prev);
}

/** The first floor whose stream belongs to another producer, by its record or by a floor before it. */
export function foreignFloor(floors: readonly Floor[], recordOf: (floor: Floor) => StreamRecord | undefined): Floor | undefined {
  const owners = new Map<string, string>();
  return floors.find((floor) => {
    const key = `${floor.partition} ${floor.stream}`;
    const owner = owners.get(key) ?? recordOf(floor)?.producer;
    if (owner === undefined && floor.place.seq > 0) owners.set(key, floor.producer);
    return owner !== undefined && owner !== floor.producer;
  });
}

/** The record after `floor` has been raised into it: the same object when nothing changes. */
export function raiseRecord(record: StreamRecord | undefined, floor: Floor): StreamRecord | undefined {
  if (record === undefined) return floor.place.seq === 0 ? undefined : { producer: floor.producer, place: floor.place, ordinal: 0 };
  const place = raise(record.place, floor.place);
  return samePlace(place, record.place) ? record : { ...record, place };
}

/** The record after a gap was dropped: set back to `place` when it is at or above it, else undefined. */
export function resetRecord(record: StreamRecord | undefined, place: Place): StreamRecord | undefined {
  return record !== undefined && record.place.seq >= place.seq ? { ...record, place } : undefined;
}

/** The record after healing; undefined when there is nothing to heal. `headOrdinal` is that of the list's head, if any. */
export function healRecord(record: StreamRecord | undefined, watermark: Place, headOrdinal: number | undefined): StreamRecord | undefined {
  if (record === undefined || record.place.seq <= watermark.seq) return undefined;
  const listHoldsNone = headOrdinal === undefined || headOrdinal > record.ordinal;
  return listHoldsNone ? { ...record, place: watermark } : undefined;
}
