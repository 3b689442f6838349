import { type Place, prevOf, seqOf, START } from '../place.ts';
import { type Element, type Model, type Queue, type QueueRecord, type StreamPlace, unused, type World } from '../world.ts';

/** The scripts of the queue: each is one step. */

export type Verdict = 'append' | 'duplicate' | 'gap' | 'mismatch';

/** Judges a frame; pushes what follows to the list of every sink, and records its place. */
export function append({ rules }: Model, world: World, stream: number, frame: Place): { world: World; verdict: Verdict; stored: Place } {
  const key = rules.streamsApart ? stream : 0;
  const { queue } = world;
  const record = recordOf(queue, key);
  const seq = seqOf(frame);
  const stored = seqOf(record.place);
  const follows = rules.gapAtDoor ? seq === stored + 1 : seq > stored;
  let verdict: Verdict = 'append';
  if (seq <= stored && rules.duplicateAtDoor) verdict = 'duplicate';
  else if (seq > stored && !follows) verdict = 'gap';
  else if (rules.chainAtDoor && seq === stored + 1 && prevOf(frame) !== record.place) verdict = 'mismatch';
  if (verdict !== 'append') return { world, verdict, stored: record.place };

  const ordinal = highestOrdinal(queue) + 1;
  const element: Element = { stream, frame, ordinal, identity: unused(identitiesOf(world)) };
  const lists = queue.lists.map((list) => [...list, element]);
  const records = recorded(queue.records, key, { place: frame, ordinal });
  return { world: { ...world, queue: normalized({ ...queue, lists, records }) }, verdict, stored: frame };
}

/** Raises the record of a stream to its floor, and reads it. */
export function raise({ rules }: Model, queue: Queue, stream: number, floor: Place): Queue {
  if (!rules.floor) return queue;
  const key = rules.streamsApart ? stream : 0;
  const { place, ordinal } = recordOf(queue, key);
  const higher = seqOf(floor) > seqOf(place);
  if (!higher && !(rules.floorCrcWins && seqOf(floor) === seqOf(place) && floor !== place)) return queue;
  return normalized({ ...queue, records: recorded(queue.records, key, { place: floor, ordinal }) });
}

export function recordOf({ records }: Queue, stream: number): QueueRecord {
  return records[stream] ?? { place: START, ordinal: 0 };
}

export function storedOf({ rules }: Model, queue: Queue, stream: number): Place {
  return recordOf(queue, rules.streamsApart ? stream : 0).place;
}

/** Sets each stream back to its watermark of which the list holds nothing. */
export function heal({ rules }: Model, queue: Queue, sink: number, token: number, watermarks: readonly StreamPlace[]): Queue {
  if (rules.healLease && queue.leases[sink] !== token) return queue;
  const head = queue.lists[sink]![0];
  let records = queue.records;
  for (const { stream, place } of watermarks) {
    const record = recordOf({ ...queue, records }, stream);
    const isGone = head === undefined || (rules.healByOrdinal && head.ordinal > record.ordinal);
    if (seqOf(record.place) > seqOf(place) && isGone) records = recorded(records, stream, { ...record, place });
  }
  return records === queue.records ? queue : normalized({ ...queue, records });
}

/** Removes the first elements if the lease is held and the last of them is the one that was read; then sets streams back. */
export function trim(
  { rules }: Model,
  queue: Queue,
  sink: number,
  token: number,
  elements: readonly Element[],
  resets: readonly StreamPlace[],
): { queue: Queue; trimmed: readonly Element[] } {
  const list = queue.lists[sink]!;
  const last = list[elements.length - 1];
  if (rules.trimLease && queue.leases[sink] !== token) return { queue, trimmed: [] };
  if (last === undefined || (rules.identity && last.identity !== elements.at(-1)!.identity)) return { queue, trimmed: [] };
  let records = queue.records;
  for (const { stream, place } of resets) {
    const record = recordOf({ ...queue, records }, stream);
    if (rules.gapsHeal && seqOf(record.place) >= seqOf(place)) records = recorded(records, stream, { ...record, place });
  }
  const lists = queue.lists.with(sink, list.slice(elements.length));
  return { queue: normalized({ ...queue, lists, records }), trimmed: list.slice(0, elements.length) };
}

function recorded(records: readonly QueueRecord[], stream: number, record: QueueRecord): QueueRecord[] {
  return Array.from({ length: Math.max(records.length, stream + 1) }, (_, at) =>
    at === stream ? record : (records[at] ?? { place: START, ordinal: 0 }),
  );
}

function highestOrdinal({ lists, records }: Queue): number {
  return Math.max(0, ...lists.flat().map(({ ordinal }) => ordinal), ...records.map(({ ordinal }) => ordinal));
}

/**
 * Ordinals are only compared with one another, and each new one is above all others: so their ranks do as well, and states
 * that differ in nothing else are one. The same holds for the identities and tokens that `unused` gives out.
 */
function normalized(queue: Queue): Queue {
  const used = new Set([0, ...queue.lists.flat().map(({ ordinal }) => ordinal), ...queue.records.map(({ ordinal }) => ordinal)]);
  const ranks = new Map([...used].sort((a, b) => a - b).map((ordinal, rank) => [ordinal, rank]));
  if (ranks.size === Math.max(...used) + 1) return queue;
  const rankOf = (ordinal: number) => ranks.get(ordinal)!;
  return {
    ...queue,
    lists: queue.lists.map((list) => list.map((element) => ({ ...element, ordinal: rankOf(element.ordinal) }))),
    records: queue.records.map((record) => ({ ...record, ordinal: rankOf(record.ordinal) })),
  };
}

/** Identities that something may still be compared with. */
function identitiesOf({ queue, replica, appliers }: World): number[] {
  const elements = [...queue.lists.flat(), ...(replica?.lists.flat() ?? []), ...appliers.flatMap(({ slice }) => slice?.elements ?? [])];
  return elements.map(({ identity }) => identity);
}

/** A token that nobody holds or finds in Redis. */
export function newToken({ queue, replica, appliers }: World): number {
  return unused([...queue.leases, ...(replica?.leases ?? []), ...appliers.map(({ lease }) => lease)]);
}
