import { SyncError } from '../core/errors.ts';
import type { StreamId } from '../core/stream.ts';
import type { Element, ElementKind } from './queue.ts';

/**
 * Bytes of an element, big-endian. The append script of Redis writes the same layout.
 *
 * | offset | size | field |
 * |---|---|---|
 * | 0 | 1 | format, 1 |
 * | 1 | 1 | kind: 0 frame, 1 refusal |
 * | 2 | 8 | store time, µs since the epoch |
 * | 10 | 8 | ordinal |
 * | 18 | 8 | random |
 * | 26 | 16 | stream |
 * | 42 | 1 | length of the producer's name |
 * | 43 | … | producer in UTF-8, then the frame |
 *
 * Bytes 2 to 25 are the identity.
 */
const ELEMENT_FORMAT = 1;
export const ELEMENT_KINDS: readonly ElementKind[] = ['frame', 'refusal'];
export const IDENTITY_START = 2;
export const IDENTITY_END = 26;
export const MAX_PRODUCER_BYTES = 255;

const FIXED_BYTES = 43;
const TWO_32 = 2 ** 32;

/** What the sender of an element knows before the queue stamps it. */
export interface ElementDraft {
  readonly kind: ElementKind;
  readonly stream: StreamId;
  readonly producer: string;
  readonly frame: Uint8Array;
}

/** Length of the element of `draft`. */
export function elementLength(draft: ElementDraft): number {
  return FIXED_BYTES + Buffer.byteLength(draft.producer) + draft.frame.length;
}

/**
 * Writes the element of `draft` at `offset`, with zeros for store time and ordinal, and returns where it ends.
 * `random` must be 8 bytes.
 */
export function writeElement(target: Buffer, offset: number, draft: ElementDraft, random: Uint8Array): number {
  const producerBytes = Buffer.byteLength(draft.producer);
  if (producerBytes > MAX_PRODUCER_BYTES)
    throw new RangeError(`producer name takes ${producerBytes} bytes, more than ${MAX_PRODUCER_BYTES}`);
  if (draft.stream.length !== 32) throw new RangeError(`stream id has ${draft.stream.length} hex digits, not 32`);
  target[offset] = ELEMENT_FORMAT;
  target[offset + 1] = ELEMENT_KINDS.indexOf(draft.kind);
  target.fill(0, offset + 2, offset + 18);
  target.set(random, offset + 18);
  target.write(draft.stream, offset + 26, 16, 'hex');
  target[offset + 42] = producerBytes;
  target.write(draft.producer, offset + FIXED_BYTES, producerBytes, 'utf8');
  target.set(draft.frame, offset + FIXED_BYTES + producerBytes);
  return offset + FIXED_BYTES + producerBytes + draft.frame.length;
}

/** Gives an element its store time and ordinal. */
export function stampElement(element: Uint8Array, storedAtUs: number, ordinal: number): void {
  writeSafeInteger(element, 2, storedAtUs);
  writeSafeInteger(element, 10, ordinal);
}

/**
 * Reads an element; `frame` is a view of `bytes`, `identity` a copy, so that sending it to a thread sends 24 bytes.
 * @throws {SyncError} `corrupt_element` for what this version did not write.
 */
export function decodeElement(bytes: Uint8Array): Element {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const format = buffer[0];
  if (format !== ELEMENT_FORMAT)
    throw new SyncError(
      'corrupt_element',
      `a queue element has format ${format}, this version knows ${ELEMENT_FORMAT}; run the version that stored it`,
    );
  const kind = ELEMENT_KINDS[buffer[1] ?? -1];
  const frameStart = FIXED_BYTES + (buffer[42] ?? 0);
  if (kind === undefined || buffer.length < frameStart)
    throw new SyncError('corrupt_element', `a queue element of ${buffer.length} bytes is not one that Syncline wrote`);
  return {
    identity: new Uint8Array(buffer.subarray(IDENTITY_START, IDENTITY_END)),
    storedAtUs: readSafeInteger(buffer, 2),
    ordinal: readSafeInteger(buffer, 10),
    kind,
    stream: buffer.toString('hex', 26, 42),
    producer: buffer.toString('utf8', FIXED_BYTES, frameStart),
    frame: buffer.subarray(frameStart),
  };
}

function writeSafeInteger(target: Uint8Array, offset: number, value: number): void {
  const view = new DataView(target.buffer, target.byteOffset + offset, 8);
  view.setUint32(0, Math.floor(value / TWO_32));
  view.setUint32(4, value % TWO_32);
}

function readSafeInteger(buffer: Buffer, offset: number): number {
  return buffer.readUInt32BE(offset) * TWO_32 + buffer.readUInt32BE(offset + 4);
}
