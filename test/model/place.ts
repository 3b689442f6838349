/**
 * A place in a stream: what the protocol writes as (seq, crc). As a crc names its whole chain, the model writes a place as the
 * batches up to it, one hexadecimal digit each, so that equal numbers are equal chains. A frame is the place it takes:
 * its `prev` is the place without the last digit. In traces `12` is the frame with seq 2 that carries batch 2 behind batch 1.
 */
export type Place = number;

export const START: Place = 0;

/** Marks the digit of a batch that every sink refuses for good. */
const POISON = 8;

/** How many batches there can be, over all clients. */
export const MAX_BATCHES = 7;

export function seqOf(place: Place): number {
  let seq = 0;
  for (let rest = place; rest !== START; rest >>>= 4) seq++;
  return seq;
}

/** The place before: what the frame names in `prev`. */
export function prevOf(frame: Place): Place {
  return frame >>> 4;
}

/** The place with this seq on the way to `place`, which lies at or behind it. */
export function placeAt(place: Place, seq: number): Place {
  return place >>> (4 * (seqOf(place) - seq));
}

export function batchOf(frame: Place): number {
  return frame & 7;
}

export function isPoison(frame: Place): boolean {
  return (frame & POISON) !== 0;
}

/** The frame that carries `batch` behind `place`. */
export function frameAfter(place: Place, batch: number, poison: 'poison' | 'sound'): Place {
  return (place << 4) | batch | (poison === 'poison' ? POISON : 0);
}

/** The frame that carries the batch of `frame`, behind another place. */
export function moved(place: Place, frame: Place): Place {
  return (place << 4) | (frame & 15);
}

/** The frames with a seq above `from`, up to `place`. */
export function framesAbove(place: Place, from: number): Place[] {
  const frames: Place[] = [];
  for (let rest = place, seq = seqOf(place); seq > from; seq--, rest = prevOf(rest)) frames.unshift(rest);
  return frames;
}

export function bitOf(batch: number): number {
  return 1 << batch;
}

/** For people: its batches, with `!` behind one that is refused. */
export function show(place: Place): string {
  return place === START
    ? '0'
    : framesAbove(place, 0)
        .map((frame) => `${batchOf(frame)}${isPoison(frame) ? '!' : ''}`)
        .join('');
}
