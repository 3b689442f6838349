// Hot path: decodes every value that is applied.
import { Timestamp, type Value } from '../core/change.ts';
import { SyncError } from '../core/errors.ts';
import { readUtf8, textSource } from '../core/platform.ts';
import { scanValue } from './scan.ts';

/**
 * Decodes one value of the restricted msgpack, which is checked first.
 * Integers are exact: numbers within ±(2^53 − 1), bigint outside. Bins are copies; maps become objects without prototype.
 * @throws {SyncError} `malformed_payload`.
 */
export function decodeValue(bytes: Uint8Array): Value {
  const fault = scanValue(bytes);
  if (fault !== undefined) throw new SyncError('malformed_payload', fault);
  return new MsgpackReader(bytes).value();
}

/** A cursor over bytes that passed a scan: it trusts every length and every type it finds. */
export class MsgpackReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #pos = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = textSource(bytes);
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  /** The type byte of what comes next. */
  peek(): number {
    return this.#bytes[this.#pos]!;
  }

  /** @throws {SyncError} `malformed_payload` for a map that repeats a key. */
  value(): Value {
    const type = this.#bytes[this.#pos++]!;
    if (type < 0x80) return type;
    if (type >= 0xe0) return type - 0x100;
    if (type >= 0xa0 && type <= 0xbf) return this.#string(type & 0x1f);
    if (type < 0x90) return this.#map(type & 0x0f);
    if (type < 0xa0) return this.#array(type & 0x0f);
    return this.#typed(type);
  }

  arrayHeader(): number {
    const type = this.#bytes[this.#pos++]!;
    return type < 0xa0 ? type & 0x0f : type === 0xdc ? this.#u16() : this.#u32();
  }

  mapHeader(): number {
    const type = this.#bytes[this.#pos++]!;
    return type < 0x90 ? type & 0x0f : type === 0xde ? this.#u16() : this.#u32();
  }

  #typed(type: number): Value {
    const at = this.#pos;
    switch (type) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xc4:
        return this.#bin(this.#u8());
      case 0xc5:
        return this.#bin(this.#u16());
      case 0xc6:
        return this.#bin(this.#u32());
      case 0xca:
        this.#pos += 4;
        return this.#view.getFloat32(at);
      case 0xcb:
        this.#pos += 8;
        return this.#view.getFloat64(at);
      case 0xcc:
        return this.#u8();
      case 0xcd:
        return this.#u16();
      case 0xce:
        return this.#u32();
      case 0xcf:
        return this.#uint64();
      case 0xd0:
        this.#pos += 1;
        return this.#view.getInt8(at);
      case 0xd1:
        this.#pos += 2;
        return this.#view.getInt16(at);
      case 0xd2:
        this.#pos += 4;
        return this.#view.getInt32(at);
      case 0xd3:
        return this.#int64();
      case 0xd9:
        return this.#string(this.#u8());
      case 0xda:
        return this.#string(this.#u16());
      case 0xdb:
        return this.#string(this.#u32());
      case 0xdc:
        return this.#array(this.#u16());
      case 0xdd:
        return this.#array(this.#u32());
      case 0xde:
        return this.#map(this.#u16());
      case 0xdf:
        return this.#map(this.#u32());
      default:
        return this.#timestamp(type);
    }
  }

  #array(count: number): Value[] {
    const values = new Array<Value>(count);
    for (let i = 0; i < count; i++) values[i] = this.value();
    return values;
  }

  #map(count: number): { [key: string]: Value } {
    const map = Object.create(null) as { [key: string]: Value };
    for (let i = 0; i < count; i++) {
      const key = this.value() as string;
      if (key in map) throw new SyncError('malformed_payload', `a map repeats a key (its entry ${i})`);
      map[key] = this.value();
    }
    return map;
  }

  #string(byteCount: number): string {
    const start = this.#pos;
    this.#pos = start + byteCount;
    if (byteCount <= SHORT_STRING) {
      const short = shortAscii(this.#bytes, start, byteCount);
      if (short !== undefined) return short;
    }
    return readUtf8(this.#bytes, start, start + byteCount);
  }

  /** A copy, so that a value never keeps a whole payload in memory. */
  #bin(byteCount: number): Uint8Array {
    const bin = new Uint8Array(byteCount);
    bin.set(this.#bytes.subarray(this.#pos, this.#pos + byteCount));
    this.#pos += byteCount;
    return bin;
  }

  #timestamp(type: number): Timestamp {
    if (type === 0xd6) {
      this.#pos += 5;
      return new Timestamp(this.#view.getUint32(this.#pos - 4), 0);
    }
    if (type === 0xd7) {
      const high = this.#view.getUint32(this.#pos + 1);
      this.#pos += 9;
      return new Timestamp((high & 3) * TWO_32 + this.#view.getUint32(this.#pos - 4), high >>> 2);
    }
    const nanoseconds = this.#view.getUint32(this.#pos + 2);
    this.#pos += 14;
    return new Timestamp(this.#view.getInt32(this.#pos - 8) * TWO_32 + this.#view.getUint32(this.#pos - 4), nanoseconds);
  }

  #uint64(): number | bigint {
    const at = this.#pos;
    this.#pos += 8;
    const high = this.#view.getUint32(at);
    return high <= MAX_HIGH ? high * TWO_32 + this.#view.getUint32(at + 4) : this.#view.getBigUint64(at);
  }

  #int64(): number | bigint {
    const at = this.#pos;
    this.#pos += 8;
    const value = this.#view.getInt32(at) * TWO_32 + this.#view.getUint32(at + 4);
    return Number.isSafeInteger(value) ? value : this.#view.getBigInt64(at);
  }

  #u8(): number {
    return this.#bytes[this.#pos++]!;
  }

  #u16(): number {
    this.#pos += 2;
    return (this.#bytes[this.#pos - 2]! << 8) | this.#bytes[this.#pos - 1]!;
  }

  #u32(): number {
    this.#pos += 4;
    return this.#view.getUint32(this.#pos - 4);
  }
}

const TWO_32 = 0x1_0000_0000;
/** The high half of 2^53 − 1. */
const MAX_HIGH = 0x1f_ffff;
const SHORT_STRING = 16;

const { fromCharCode } = String;

/** Up to 16 bytes of ASCII as a string; undefined when another byte is among them. Calls into the engine cost more. */
function shortAscii(bytes: Uint8Array, start: number, byteCount: number): string | undefined {
  let text = '';
  let at = start;
  const end = start + byteCount;
  while (end - at >= 4) {
    const a = bytes[at]!;
    const b = bytes[at + 1]!;
    const c = bytes[at + 2]!;
    const d = bytes[at + 3]!;
    if (((a | b | c | d) & 0x80) !== 0) return undefined;
    text += fromCharCode(a, b, c, d);
    at += 4;
  }
  while (at < end) {
    const a = bytes[at++]!;
    if (a >= 0x80) return undefined;
    text += fromCharCode(a);
  }
  return text;
}
