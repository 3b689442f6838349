import { holds } from './actors/client.ts';
import { isDone, watermarkOf } from './actors/sink.ts';
import { batchOf, bitOf, isPoison, seqOf } from './place.ts';
import type { Violation } from './step.ts';
import { batchesOf, type Entry, type Model, type World, writerOf } from './world.ts';

/** What is wrong with a commit of `entries`: it repeats, comes out of order, or moves a watermark back. */
export function commitViolation(model: Model, world: World, sink: number, entries: readonly Entry[]): Violation | undefined {
  const { made, lost, again, undone, unpromised } = world.ledger;
  let log = world.sinks[sink]!.log;
  for (const entry of entries) {
    const { stream, place, kind } = entry;
    if (kind !== 'letter alone' && kind !== 'batch alone' && seqOf(place) < seqOf(watermarkOf({ log }, stream))) return 'watermark back';
    const batch = batchOf(place);
    if (kind !== 'watermark') {
      const mayRepeat = (again & bitOf(batch)) !== 0;
      if ((isDone({ log }, batch) && !mayRepeat) || (unpromised & bitOf(batch)) !== 0) return 'repeat';
      // What was lost with a spool may still arrive, in the stream that its client left.
      if (!mayRepeat && (lost & bitOf(batch)) === 0 && kind !== 'letter alone' && !isInOrder(batch)) return 'order';
    }
    log = [...log, entry];
  }
  return undefined;

  /** Everything that its client made before is done, and nothing that it made after. */
  function isInOrder(batch: number): boolean {
    const all = batchesOf(model, writerOf(model, batch)) & made & ~(lost | undone | again | unpromised);
    for (let other = 1; bitOf(other) <= all; other++) {
      if ((all & bitOf(other)) === 0 || other === batch) continue;
      const done = log.some(({ place, kind }) => batchOf(place) === other && (kind !== 'watermark' || isPoison(place)));
      if (done !== other < batch) return false;
    }
    return true;
  }
}

/** What is wrong in this state, whatever led to it. */
export function stateViolation(model: Model, world: World): Violation | undefined {
  const { made, lost, undone, heard, unpromised } = world.ledger;
  let early: Violation | undefined;
  for (let batch = 1; bitOf(batch) <= made; batch++) {
    const bit = bitOf(batch);
    if ((made & bit) === 0 || ((lost | undone | unpromised) & bit) !== 0) continue;
    if (holds(world.clients[writerOf(model, batch)]!, batch)) continue;
    for (const [at, sink] of world.sinks.entries()) {
      if (!isDone(sink, batch)) {
        if (!world.queue.lists[at]!.some(({ frame }) => batchOf(frame) === batch)) return 'loss';
        early = 'forgotten early';
      } else if ((heard & bit) === 0 && sink.log.some(({ place, kind }) => batchOf(place) === batch && kind.startsWith('letter'))) {
        early ??= 'applied before rejected';
      }
    }
  }
  return early;
}

/** Everything is as it should be in the end: every batch is made, done in every sink, and forgotten. */
export function isGood(model: Model, world: World): boolean {
  const { made, lost, undone, unpromised } = world.ledger;
  for (const [index, client] of world.clients.entries()) {
    // It was told that somebody has to compare source and target.
    if (client.phase === 'stopped') continue;
    const all = batchesOf(model, index);
    if ((made & all) !== all || client.applied < seqOf(client.assigned)) return false;
    const owed = all & ~(lost | undone | unpromised);
    for (let batch = 1; bitOf(batch) <= owed; batch++)
      if ((owed & bitOf(batch)) !== 0 && !world.sinks.every((sink) => isDone(sink, batch))) return false;
  }
  return true;
}
