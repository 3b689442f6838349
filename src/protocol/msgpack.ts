// Hot path: writes every value that a client sends.
import { Timestamp, type Value } from '../core/change.ts';
import { allocate, utf8Length, writeUtf8 } from '../core/platform.ts';
import { FORBIDDEN_KEYS, MAX_DEPTH } from './limits.ts';

/**
 * Writes restricted msgpack (`docs/protocol.md`, "Values") into a buffer that grows, each thing in its shortest form.
 * Methods throw a {@link TypeError} that says what cannot be sent; cut back with {@link length} then.
 */
export class MsgpackWriter {
  #bytes: Uint8Array;
  /** The same memory, for floats; made for the first one. */
  #view: DataView | undefined;
  #length = 0;

  constructor(initialBytes = 1024) {
    this.#bytes = allocate(initialBytes);
  }

  /** Bytes written so far. Set it to an earlier value to drop what came after. */
  get length(): number {
    return this.#length;
  }

  set length(length: number) {
    if (!(length >= 0 && length <= this.#length)) throw new RangeError(`${length} is not a length from 0 to ${this.#length}`);
    this.#length = length;
  }

  /** Memory of the writer itself, which the next call may overwrite. */
  view(start: number): Uint8Array {
    return this.#bytes.subarray(start, this.#length);
  }

  /** A copy of what was written; the writer is empty afterwards. */
  take(): Uint8Array {
    const bytes = allocate(this.#length);
    bytes.set(this.#bytes.subarray(0, this.#length));
    this.#length = 0;
    return bytes;
  }

  /** Overwrites one byte that was written before. */
  patch(at: number, byte: number): void {
    this.#bytes[at] = byte;
  }

  nil(): void {
    this.#byte(0xc0);
  }

  bool(value: boolean): void {
    this.#byte(value ? 0xc3 : 0xc2);
  }

  /** An integer from −2^63 to 2^64 − 1; a number must be a safe integer. */
  int(value: number | bigint): void {
    if (typeof value === 'bigint') return this.#bigint(value);
    if (!Number.isSafeInteger(value)) throw new TypeError(`${value} is not an integer within ±(2^53 − 1)`);
    if (value >= 0) {
      if (value < 0x80) this.#byte(value);
      else if (value < 0x100) this.#sized(0xcc, value, 1);
      else if (value < 0x1_0000) this.#sized(0xcd, value, 2);
      else if (value < TWO_32) this.#sized(0xce, value, 4);
      else this.#int64(0xcf, value);
    } else if (value >= -0x20) this.#byte(value & 0xff);
    else if (value >= -0x80) this.#sized(0xd0, value & 0xff, 1);
    else if (value >= -0x8000) this.#sized(0xd1, value & 0xffff, 2);
    else if (value >= -0x8000_0000) this.#sized(0xd2, value >>> 0, 4);
    else this.#int64(0xd3, value);
  }

  /** A finite number as float 64. */
  float(value: number): void {
    if (!Number.isFinite(value)) throw new TypeError(`${value} cannot be sent: floats must be finite`);
    this.#reserve(9);
    this.#bytes[this.#length] = 0xcb;
    this.#view ??= new DataView(this.#bytes.buffer, this.#bytes.byteOffset);
    this.#view.setFloat64(this.#length + 1, value);
    this.#length += 9;
  }

  str(value: string): void {
    if (value.length < SHORT_STRING && this.#shortAscii(value)) return;
    const byteCount = utf8Length(value);
    if (byteCount !== value.length && !value.isWellFormed()) throw new TypeError('a string with a lone surrogate cannot be sent');
    if (byteCount < 0x20) this.#byte(0xa0 | byteCount);
    else if (byteCount < 0x100) this.#sized(0xd9, byteCount, 1);
    else if (byteCount < 0x1_0000) this.#sized(0xda, byteCount, 2);
    else this.#sized(0xdb, byteCount, 4);
    this.#reserve(byteCount);
    writeUtf8(this.#bytes, value, this.#length, byteCount);
    this.#length += byteCount;
  }

  bin(value: Uint8Array): void {
    const byteCount = value.length;
    if (byteCount < 0x100) this.#sized(0xc4, byteCount, 1);
    else if (byteCount < 0x1_0000) this.#sized(0xc5, byteCount, 2);
    else this.#sized(0xc6, byteCount, 4);
    this.#reserve(byteCount);
    this.#bytes.set(value, this.#length);
    this.#length += byteCount;
  }

  timestamp(value: Timestamp): void {
    const { seconds, nanoseconds } = value;
    if (!Number.isSafeInteger(seconds) || !Number.isInteger(nanoseconds) || nanoseconds < 0 || nanoseconds > 999_999_999) {
      throw new TypeError(`a timestamp of ${seconds} s and ${nanoseconds} ns cannot be sent`);
    }
    if (seconds >= 0 && seconds < TWO_32 && nanoseconds === 0) {
      this.#sized(0xd6, TIMESTAMP_TYPE, 1);
      this.#u32(seconds);
    } else if (seconds >= 0 && seconds < 2 ** 34) {
      this.#sized(0xd7, TIMESTAMP_TYPE, 1);
      this.#u32(((nanoseconds << 2) | Math.floor(seconds / TWO_32)) >>> 0);
      this.#u32(seconds % TWO_32);
    } else {
      this.#sized(0xc7, 12, 1);
      this.#sized(TIMESTAMP_TYPE, nanoseconds, 4);
      this.#u32(Math.floor(seconds / TWO_32) >>> 0);
      this.#u32(seconds >>> 0);
    }
  }

  arrayHeader(count: number): void {
    if (count < 0x10) this.#byte(0x90 | count);
    else if (count < 0x1_0000) this.#sized(0xdc, count, 2);
    else this.#sized(0xdd, count, 4);
  }

  mapHeader(count: number): void {
    if (count < 0x10) this.#byte(0x80 | count);
    else if (count < 0x1_0000) this.#sized(0xde, count, 2);
    else this.#sized(0xdf, count, 4);
  }

  /**
   * Any {@link Value}; a `Date` is written as a timestamp. `depth` is how many containers are open around it.
   * Safe integers become ints (−0 too), other numbers floats.
   */
  value(value: unknown, depth: number): void {
    switch (typeof value) {
      case 'string':
        return this.str(value);
      case 'number':
        return Number.isSafeInteger(value) ? this.int(value) : this.float(value);
      case 'boolean':
        return this.bool(value);
      case 'bigint':
        return this.#bigint(value);
      case 'object':
        return value === null ? this.nil() : this.#object(value, depth);
      default:
        throw new TypeError(`${typeof value} cannot be sent; use null for no value`);
    }
  }

  #object(value: object, depth: number): void {
    if (value instanceof Uint8Array) return this.bin(value);
    if (value instanceof Timestamp) return this.timestamp(value);
    if (value instanceof Date) {
      if (Number.isNaN(value.getTime())) throw new TypeError('an invalid date cannot be sent');
      return this.timestamp(Timestamp.fromDate(value));
    }
    if (depth === MAX_DEPTH) throw new TypeError(`arrays and objects nest too deep: ${MAX_DEPTH} levels are the most`);
    if (Array.isArray(value)) {
      this.arrayHeader(value.length);
      for (let i = 0; i < value.length; i++) this.value(value[i], depth + 1);
      return;
    }
    const prototype: unknown = Object.getPrototypeOf(value);
    if (prototype !== null && prototype !== Object.prototype) {
      throw new TypeError(`a ${value.constructor?.name ?? 'class instance'} cannot be sent; use plain objects and arrays`);
    }
    const entries = Object.entries(value);
    this.mapHeader(entries.length);
    for (const [key, item] of entries) {
      if (FORBIDDEN_KEYS.has(key)) throw new TypeError(`an object with the key "${key}" cannot be sent`);
      this.str(key);
      this.value(item, depth + 1);
    }
  }

  #bigint(value: bigint): void {
    if (value >= MIN_SAFE && value <= MAX_SAFE) return this.int(Number(value));
    if (value < -(2n ** 63n) || value >= 2n ** 64n)
      throw new TypeError('an integer outside −2^63 … 2^64 − 1 cannot be sent; send it as a string');
    this.#sized(value < 0n ? 0xd3 : 0xcf, Number(BigInt.asUintN(32, value >> 32n)), 4);
    this.#u32(Number(BigInt.asUintN(32, value)));
  }

  /** Writes a short string in one pass; false, with nothing written, when it is not ASCII. */
  #shortAscii(value: string): boolean {
    const count = value.length;
    this.#reserve(count + 2);
    const bytes = this.#bytes;
    let at = this.#length;
    if (count < 0x20) bytes[at++] = 0xa0 | count;
    else {
      bytes[at++] = 0xd9;
      bytes[at++] = count;
    }
    for (let i = 0; i < count; i++) {
      const code = value.charCodeAt(i);
      if (code >= 0x80) return false;
      bytes[at++] = code;
    }
    this.#length = at;
    return true;
  }

  #int64(type: number, value: number): void {
    this.#byte(type);
    this.#u32(Math.floor(value / TWO_32) >>> 0);
    this.#u32(value >>> 0);
  }

  #byte(value: number): void {
    this.#reserve(1);
    this.#bytes[this.#length++] = value;
  }

  #u32(value: number): void {
    this.#reserve(4);
    const bytes = this.#bytes;
    const at = this.#length;
    bytes[at] = value >>> 24;
    bytes[at + 1] = value >>> 16;
    bytes[at + 2] = value >>> 8;
    bytes[at + 3] = value;
    this.#length = at + 4;
  }

  /** A type byte and a big-endian number of 1, 2 or 4 bytes. */
  #sized(type: number, value: number, byteCount: 1 | 2 | 4): void {
    this.#reserve(5);
    const bytes = this.#bytes;
    let at = this.#length;
    bytes[at++] = type;
    if (byteCount === 4) {
      bytes[at++] = value >>> 24;
      bytes[at++] = value >>> 16;
    }
    if (byteCount !== 1) bytes[at++] = value >>> 8;
    bytes[at++] = value;
    this.#length = at;
  }

  #reserve(byteCount: number): void {
    const needed = this.#length + byteCount;
    if (needed <= this.#bytes.length) return;
    if (needed > MAX_WRITER_BYTES) throw new TypeError(`more than ${MAX_WRITER_BYTES} bytes cannot be sent in one piece`);
    const bytes = allocate(Math.max(needed, this.#bytes.length * 2));
    bytes.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = bytes;
    this.#view = undefined;
  }
}

/** One value as msgpack. @throws {TypeError} for what cannot be sent. */
export function encodeValue(value: Value): Uint8Array {
  const writer = new MsgpackWriter(64);
  writer.value(value, 0);
  return writer.take();
}

const TWO_32 = 0x1_0000_0000;
const MIN_SAFE = BigInt(Number.MIN_SAFE_INTEGER);
const MAX_SAFE = BigInt(Number.MAX_SAFE_INTEGER);
/** Extension type −1 as a byte. */
const TIMESTAMP_TYPE = 0xff;
/** Below this, a loop beats the call into the engine. */
const SHORT_STRING = 48;
const MAX_WRITER_BYTES = 256 * 1024 * 1024;
