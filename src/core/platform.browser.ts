/** `platform.ts` for browsers: what it promises, from what they have. */

export function allocate(byteCount: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(byteCount);
}

export const nativeCrc32: ((bytes: Uint8Array, crc: number) => number) | undefined = undefined;

export function utf8Length(text: string): number {
  let byteCount = text.length;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 0x80) continue;
    byteCount += code < 0x800 ? 1 : 2;
    // The two halves of a pair take four bytes together.
    if (code >= 0xd800 && code < 0xdc00 && isLowSurrogate(text.charCodeAt(i + 1))) i++;
  }
  return byteCount;
}

export function utf8Bytes(text: string): Uint8Array<ArrayBuffer> {
  return ENCODER.encode(text);
}

export function writeUtf8(target: Uint8Array, text: string, at: number, byteCount: number): void {
  ENCODER.encodeInto(text, target.subarray(at, at + byteCount));
}

export function textSource(bytes: Uint8Array): Uint8Array {
  return bytes;
}

export function readUtf8(source: Uint8Array, start: number, end: number): string {
  return DECODER.decode(source.subarray(start, end));
}

export function fillRandom(target: Uint8Array<ArrayBuffer>): void {
  crypto.getRandomValues(target);
}

/** A timer would wait 4 ms, and a second in a page that nobody sees; a message waits for what is ready now. */
export function defer(run: () => void): void {
  deferred.push(run);
  channel ??= openChannel();
  channel.port2.postMessage(undefined);
}

function openChannel() {
  const opened = new MessageChannel();
  opened.port1.addEventListener('message', () => deferred.shift()?.());
  opened.port1.start();
  return opened;
}

function isLowSurrogate(code: number): boolean {
  return code >= 0xdc00 && code < 0xe000;
}

const ENCODER = new TextEncoder();
// U+FEFF at the beginning of a text belongs to it.
const DECODER = new TextDecoder('utf-8', { ignoreBOM: true });

const deferred: (() => void)[] = [];
let channel: ReturnType<typeof openChannel> | undefined;
