/**
 * What Node.js has of its own and does faster than the standards that browsers share with it. `platform.browser.ts` is the
 * same for browsers, and stands in its place in the browser's bundle and when that is type-checked.
 */
import { randomFillSync } from 'node:crypto';
import { crc32 } from 'node:zlib';

/** New memory of its own, with anything in it. */
export function allocate(byteCount: number): Uint8Array {
  return Buffer.allocUnsafeSlow(byteCount);
}

/** CRC-32 of `bytes`, going on from `crc`; undefined where there is none faster than our own. */
export const nativeCrc32: ((bytes: Uint8Array, crc: number) => number) | undefined = crc32;

/** Bytes that `text` takes in UTF-8; a lone surrogate counts as U+FFFD. */
export function utf8Length(text: string): number {
  return Buffer.byteLength(text, 'utf8');
}

export function utf8Bytes(text: string): Uint8Array {
  return Buffer.from(text, 'utf8');
}

/** Writes `text`, which takes `byteCount` bytes, into memory that {@link allocate} gave. */
export function writeUtf8(target: Uint8Array, text: string, at: number, byteCount: number): void {
  (target as Buffer).write(text, at, byteCount, 'utf8');
}

/** The same bytes in the form that {@link readUtf8} takes. */
export function textSource(bytes: Uint8Array): Uint8Array {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** The text in a part of what {@link textSource} gave. */
export function readUtf8(source: Uint8Array, start: number, end: number): string {
  return (source as Buffer).toString('utf8', start, end);
}

export function fillRandom(target: Uint8Array): void {
  randomFillSync(target);
}

/** Calls `run` at the end of this turn of the event loop. */
export function defer(run: () => void): void {
  setImmediate(run);
}
