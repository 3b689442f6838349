import { batchOf, type Place, START } from '../place.ts';
import type { Entry, Model, Sink, World } from '../world.ts';

export function watermarkOf({ log }: Sink, stream: number): Place {
  return log.findLast((entry) => entry.stream === stream && !isAlone(entry))?.place ?? START;
}

/** Of the required sinks, the watermark that counts for floor and APPLIED. */
export function floorOf({ rules }: Model, { sinks }: World, stream: number): Place {
  const places = sinks.map((sink) => watermarkOf(sink, stream)).sort((a, b) => a - b);
  return (rules.appliedByAll ? places[0] : places.at(-1)) ?? START;
}

/** The batch took effect, or was set aside for good. */
export function isDone({ log }: Sink, batch: number): boolean {
  return log.some(({ place, kind }) => kind !== 'watermark' && batchOf(place) === batch);
}

/** Dead letters of a stream, over all sinks. */
export function lettersOf({ sinks }: World, stream: number): Place[] {
  const letters = new Set<Place>();
  for (const { log } of sinks)
    for (const { stream: its, place, kind } of log)
      if (its === stream && (kind === 'letter' || kind === 'letter alone')) letters.add(place);
  return [...letters];
}

function isAlone({ kind }: Entry): boolean {
  return kind === 'batch alone' || kind === 'letter alone';
}
