import { crc32 } from 'node:zlib';
import { SyncError } from '../core/errors.ts';
import type { StreamId } from '../core/stream.ts';
import type { Element } from './queue.ts';

/**
 * Bytes of an element, big-endian. The append script of Redis writes the same layout.
 *
 * | offset | size | field |
 * |---|---|---|
 * | 0 | 1 | format, 0xb2 |
 * | 1 | 4 | check |
 * | 5 | 8 | store time, µs since the epoch |
 * | 13 | 8 | ordinal |
 * | 21 | 8 | random; in Redis the last bit is set when frames of the same append are kept apart |
 * | 29 | 1 | kind: 0 frame, 1 refusal, 2 frame that is kept apart |
 * | 30 | 16 | stream |
 * | 46 | 1 | length of the producer's name |
 * | 47 | … | producer in UTF-8, then the frame; of one that is kept apart u32 offset and u32 length there |
 *
 * Bytes 5 to 28 are the identity.
 *
 * The check is the CRC-32 of bytes 21 up to the frame, of the other kinds up to the end, plus the four 32-bit words of store time
 * and ordinal, modulo 2^32. A frame has a CRC of its own, so that nothing large is read twice. The sum is there because
 * store time and ordinal are given where the element is pushed: whoever sends it computes the CRC, and a script of Redis,
 * which has no CRC, only adds. Any single bit that flips changes the sum.
 *
 * The format has no checksum. The bytes of two formats differ in four bits at least, so that damage does not make one of another.
 */
const ELEMENT_FORMAT = 0xb2;
/** Fewer bits than these are damage, not another format. */
const FORMAT_DISTANCE = 3;
export const ELEMENT_KINDS = ['frame', 'refusal', 'apart'] as const;
export const IDENTITY_START = 5;
export const IDENTITY_END = 29;
export const MAX_PRODUCER_BYTES = 255;

const CHECK_AT = 1;
const STORED_AT = 5;
const ORDINAL_AT = 13;
/** From here on the sender of an element knows its bytes. */
const CRC_START = 21;
const RANDOM_AT = CRC_START;
const KIND_AT = 29;
const STREAM_AT = 30;
const PRODUCER_AT = 46;
const FIXED_BYTES = 47;
const IDENTITY_BYTES = IDENTITY_END - IDENTITY_START;
/** What an element holds of a frame that is kept apart. */
export const FRAME_PLACE_BYTES = 8;
const TWO_32 = 2 ** 32;

/** An element as it lies in a list; where its frame is kept apart, with the place instead. */
export type ListedElement = Element | (Omit<Element, 'kind' | 'frame'> & { readonly kind: 'apart'; readonly place: FramePlace });

/** Where a frame is among those that are kept together. */
export interface FramePlace {
  readonly offset: number;
  readonly length: number;
}

/** What the sender of an element knows before the queue stamps it. */
export interface ElementDraft {
  readonly kind: (typeof ELEMENT_KINDS)[number];
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
  const frameStart = offset + FIXED_BYTES + producerBytes;
  const end = frameStart + draft.frame.length;
  target[offset] = ELEMENT_FORMAT;
  target.fill(0, offset + STORED_AT, offset + RANDOM_AT);
  target.set(random, offset + RANDOM_AT);
  target[offset + KIND_AT] = ELEMENT_KINDS.indexOf(draft.kind);
  target.write(draft.stream, offset + STREAM_AT, 16, 'hex');
  target[offset + PRODUCER_AT] = producerBytes;
  target.write(draft.producer, offset + FIXED_BYTES, producerBytes, 'utf8');
  target.set(draft.frame, frameStart);
  target.writeUInt32BE(crc32(target.subarray(offset + CRC_START, draft.kind === 'frame' ? frameStart : end)), offset + CHECK_AT);
  return end;
}

/** Gives an element its store time and ordinal; again, when the push before came to nothing. */
export function stampElement(element: Uint8Array, storedAtUs: number, ordinal: number): void {
  const buffer = Buffer.from(element.buffer, element.byteOffset, element.byteLength);
  const crc = buffer.readUInt32BE(CHECK_AT) - sumOfWords(buffer);
  writeSafeInteger(buffer, STORED_AT, storedAtUs);
  writeSafeInteger(buffer, ORDINAL_AT, ordinal);
  buffer.writeUInt32BE((crc + sumOfWords(buffer)) >>> 0, CHECK_AT);
}

/**
 * Reads an element; `frame` is a view of `bytes`, `identity` a copy, so that sending it to a thread sends 24 bytes.
 * One whose check is wrong is of kind `damaged`. Of a frame, the header is enough.
 * @throws {SyncError} `newer_format` for one that another version wrote.
 */
export function decodeElement(bytes: Uint8Array): ListedElement {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const format = buffer[0] ?? ELEMENT_FORMAT;
  if (bitsApart(format, ELEMENT_FORMAT) >= FORMAT_DISTANCE) throw foreign(`format ${format}, this version knows ${ELEMENT_FORMAT}`);
  // Whole, and yet of a kind that is not known: damage would show in the check.
  if (buffer.length > KIND_AT && buffer[KIND_AT]! >= ELEMENT_KINDS.length && hasCheck(buffer))
    throw foreign(`kind ${buffer[KIND_AT]}, this version knows 0 to ${ELEMENT_KINDS.length - 1}`);
  const identity = new Uint8Array(buffer.subarray(IDENTITY_START, IDENTITY_END));
  // Nothing that could be taken for another's is given of bytes that have changed.
  if (!isIntact(buffer)) return { identity, storedAtUs: 0, ordinal: 0, kind: 'damaged', stream: '', producer: '', frame: new Uint8Array() };
  const frameStart = FIXED_BYTES + buffer[PRODUCER_AT]!;
  const kind = ELEMENT_KINDS[buffer[KIND_AT]!]!;
  const head = {
    identity,
    storedAtUs: readSafeInteger(buffer, STORED_AT),
    ordinal: readSafeInteger(buffer, ORDINAL_AT),
    stream: buffer.toString('hex', STREAM_AT, PRODUCER_AT),
    producer: buffer.toString('utf8', FIXED_BYTES, frameStart),
  };
  if (kind !== 'apart') return { ...head, kind, frame: buffer.subarray(frameStart) };
  if (buffer.length !== frameStart + FRAME_PLACE_BYTES)
    throw foreign(`${buffer.length - frameStart} bytes for a place, this version knows ${FRAME_PLACE_BYTES}`);
  return { ...head, kind, place: { offset: buffer.readUInt32BE(frameStart), length: buffer.readUInt32BE(frameStart + 4) } };
}

/**
 * As {@link decodeElement}, where frames are in their elements.
 * @throws {SyncError} `newer_format` also for one whose frame is not.
 */
export function decodeWholeElement(bytes: Uint8Array): Element {
  const element = decodeElement(bytes);
  if (element.kind === 'apart') throw foreign('its frame elsewhere, where this version keeps none');
  return element;
}

/**
 * Names what is kept apart for an element in Redis, undefined when nothing is: its 8 random bytes in hex. All elements of one append
 * have the same, also those whose frame is not apart. The last bit tells whether any is.
 */
export function apartOf(identity: Uint8Array): string | undefined {
  if ((identity[IDENTITY_BYTES - 1]! & 1) === 0) return undefined;
  return Buffer.from(identity.buffer, identity.byteOffset, IDENTITY_BYTES).toString('hex', RANDOM_AT - IDENTITY_START);
}

/** The store time of an element of which at least what its check covers is there; 0 when it is damaged, or another version's. */
export function readStoreTime(bytes: Buffer): number {
  return isIntact(bytes) ? readSafeInteger(bytes, STORED_AT) : 0;
}

function foreign(what: string): SyncError {
  return new SyncError(
    'newer_format',
    `a queue element has ${what}; run the version that stored it until the queue is empty, or empty the queue: clients send again what was not applied`,
  );
}

function isIntact(buffer: Buffer): boolean {
  return (buffer[KIND_AT] ?? ELEMENT_KINDS.length) < ELEMENT_KINDS.length && hasCheck(buffer);
}

/** A kind that is to come is covered up to its end, as a refusal is. */
function hasCheck(buffer: Buffer): boolean {
  const frameStart = FIXED_BYTES + (buffer[PRODUCER_AT] ?? 0);
  if (buffer[0] !== ELEMENT_FORMAT || buffer.length < frameStart) return false;
  const crc = crc32(buffer.subarray(CRC_START, ELEMENT_KINDS[buffer[KIND_AT]!] === 'frame' ? frameStart : buffer.length));
  return (crc + sumOfWords(buffer)) % TWO_32 === buffer.readUInt32BE(CHECK_AT);
}

/** Of store time and ordinal. */
function sumOfWords(buffer: Buffer): number {
  let sum = 0;
  for (let at = STORED_AT; at < CRC_START; at += 4) sum += buffer.readUInt32BE(at);
  return sum;
}

function writeSafeInteger(target: Buffer, offset: number, value: number): void {
  target.writeUInt32BE(Math.floor(value / TWO_32), offset);
  target.writeUInt32BE(value % TWO_32, offset + 4);
}

function readSafeInteger(buffer: Buffer, offset: number): number {
  return buffer.readUInt32BE(offset) * TWO_32 + buffer.readUInt32BE(offset + 4);
}

function bitsApart(a: number, b: number): number {
  let count = 0;
  for (let bits = a ^ b; bits !== 0; bits &= bits - 1) count++;
  return count;
}
