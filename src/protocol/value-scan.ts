// Hot path: runs over every byte that a peer sends, without allocating.
import { FORBIDDEN_KEYS, MAX_DEPTH } from './limits.ts';

/**
 * A cursor over untrusted bytes that checks the restricted msgpack: nil, bool, int, finite float, UTF-8 str, bin, array,
 * map with str keys, and the timestamp extension; nested at most {@link MAX_DEPTH} deep; no length beyond the bytes that
 * remain. The first refusal is final until {@link begin}: methods then return false, or −1.
 */
export class ValueScan {
  bytes: Uint8Array = new Uint8Array(0);
  /** Of the string that {@link string} read last. */
  stringStart = 0;
  stringBytes = 0;
  reason = '';
  #pos = 0;
  #looseKeys = false;
  /** Per open container: values that are still to come, and whether it is a map. */
  readonly #remaining = new Float64Array(MAX_DEPTH + 1);
  readonly #isMap = new Uint8Array(MAX_DEPTH + 1);

  /**
   * Starts over. With `keys` = `loose`, map keys may also be non-negative integers and may have any name: for payloads
   * that are decoded into a `Map`.
   */
  begin(bytes: Uint8Array, keys: 'names' | 'loose' = 'names'): void {
    this.bytes = bytes;
    this.#pos = 0;
    this.reason = '';
    this.#looseKeys = keys === 'loose';
  }

  /** Keeps the first reason, which is the most precise one. */
  refuse(reason: string): false {
    if (this.reason === '') this.reason = `${reason} (at byte ${this.#pos})`;
    return false;
  }

  /** Whether everything has been read. */
  end(): boolean {
    const rest = this.bytes.length - this.#pos;
    return this.reason === '' && (rest === 0 || this.refuse(`${rest} bytes follow the payload`));
  }

  /** Reads the header of a map; −1 when there is none or it announces more than can follow. */
  mapHeader(): number {
    const type = this.bytes[this.#pos];
    if (type === undefined) return this.#truncated();
    if (type >= 0x80 && type <= 0x8f) return this.#container(1, type & 0x0f, 2);
    if (type === 0xde) return this.#container(3, this.#u16(this.#pos + 1), 2);
    if (type === 0xdf) return this.#container(5, this.#u32(this.#pos + 1), 2);
    return -1;
  }

  arrayHeader(): number {
    const type = this.bytes[this.#pos];
    if (type === undefined) return this.#truncated();
    if (type >= 0x90 && type <= 0x9f) return this.#container(1, type & 0x0f, 1);
    if (type === 0xdc) return this.#container(3, this.#u16(this.#pos + 1), 1);
    if (type === 0xdd) return this.#container(5, this.#u32(this.#pos + 1), 1);
    return -1;
  }

  /** Reads an integer from 0 to 2^53 − 1; −1 when there is none. */
  count(): number {
    const pos = this.#pos;
    const type = this.bytes[pos];
    if (type === undefined) return this.#truncated();
    if (type < 0x80) {
      this.#pos++;
      return type;
    }
    // Signed forms are for what is negative; some encoders use them for small counts as well.
    const width = type >= 0xcc && type <= 0xcf ? 1 << (type - 0xcc) : type >= 0xd0 && type <= 0xd3 ? 1 << (type - 0xd0) : 0;
    if (width === 0 || pos + 1 + width > this.bytes.length) return -1;
    if (type >= 0xd0 && this.bytes[pos + 1]! >= 0x80) return -1;
    let value = 0;
    for (let i = 1; i <= width; i++) value = value * 256 + this.bytes[pos + i]!;
    if (value > Number.MAX_SAFE_INTEGER) return -1;
    this.#pos += 1 + width;
    return value;
  }

  /** Reads a str of at most `maxBytes`, in valid UTF-8. */
  string(maxBytes: number): boolean {
    const pos = this.#pos;
    const type = this.bytes[pos];
    if (type === undefined) return this.refuse('the payload ends early');
    let length: number;
    let start: number;
    if (type >= 0xa0 && type <= 0xbf) {
      length = type & 0x1f;
      start = pos + 1;
    } else if (type === 0xd9) {
      length = this.bytes[pos + 1] ?? 0;
      start = pos + 2;
    } else if (type === 0xda) {
      length = this.#u16(pos + 1);
      start = pos + 3;
    } else if (type === 0xdb) {
      length = this.#u32(pos + 1);
      start = pos + 5;
    } else return false;
    if (start + length > this.bytes.length) return this.refuse(`a str announces ${length} bytes and ${this.#left(start)} remain`);
    if (length > maxBytes) return false;
    if (!isUtf8(this.bytes, start, start + length)) return this.refuse('a str is not valid UTF-8');
    this.stringStart = start;
    this.stringBytes = length;
    this.#pos = start + length;
    return true;
  }

  /** Checks the next `count` values, which stand inside `depth` containers. */
  values(count: number, depth: number): boolean {
    const bytes = this.bytes;
    const base = depth;
    let remaining = count;
    let inMap = false;
    for (;;) {
      while (remaining === 0) {
        if (depth === base) return true;
        remaining = this.#remaining[depth]!;
        inMap = this.#isMap[depth] === 1;
        depth--;
      }
      // A map counts keys and values, so what is left of it is even before each key.
      if (inMap && remaining % 2 === 0) {
        if (!this.#key()) return false;
        remaining--;
        continue;
      }
      remaining--;
      const type = bytes[this.#pos];
      if (type === undefined) return this.refuse('the payload ends early');
      if (type < 0x80 || type >= 0xe0) {
        this.#pos++;
      } else if (type >= 0xa0 && type <= 0xbf) {
        if (!this.#str(1, type & 0x1f)) return false;
      } else if (type < 0xa0 || (type >= 0xdc && type <= 0xdf)) {
        const map = type < 0x90 || type >= 0xde;
        const entries = map ? this.mapHeader() : this.arrayHeader();
        if (entries < 0) return false;
        if (depth === MAX_DEPTH) return this.refuse(`arrays and maps nest more than ${MAX_DEPTH} deep`);
        depth++;
        this.#remaining[depth] = remaining;
        this.#isMap[depth] = inMap ? 1 : 0;
        remaining = map ? entries * 2 : entries;
        inMap = map;
      } else if (!this.#scalar(type)) return false;
    }
  }

  /** Everything between 0xc0 and 0xdb. */
  #scalar(type: number): boolean {
    const pos = this.#pos;
    switch (type) {
      case 0xc0:
      case 0xc2:
      case 0xc3:
        this.#pos++;
        return true;
      case 0xc4:
        return this.#bin(2, this.bytes[pos + 1] ?? 0);
      case 0xc5:
        return this.#bin(3, this.#u16(pos + 1));
      case 0xc6:
        return this.#bin(5, this.#u32(pos + 1));
      case 0xca:
        if ((this.#u16(pos + 1) & 0x7f80) === 0x7f80) return this.refuse('a float is not finite');
        return this.#skip(5);
      case 0xcb:
        if ((this.#u16(pos + 1) & 0x7ff0) === 0x7ff0) return this.refuse('a float is not finite');
        return this.#skip(9);
      case 0xcc:
      case 0xd0:
        return this.#skip(2);
      case 0xcd:
      case 0xd1:
        return this.#skip(3);
      case 0xce:
      case 0xd2:
        return this.#skip(5);
      case 0xcf:
      case 0xd3:
        return this.#skip(9);
      case 0xd9:
        return this.#str(2, this.bytes[pos + 1] ?? 0);
      case 0xda:
        return this.#str(3, this.#u16(pos + 1));
      case 0xdb:
        return this.#str(5, this.#u32(pos + 1));
      case 0xc7:
      case 0xd6:
      case 0xd7:
        return this.#timestamp(type);
      default:
        return this.refuse(`type 0x${type.toString(16)} is not allowed`);
    }
  }

  /** The three forms of the timestamp extension: 4 bytes of seconds, 30 + 34 bits, 4 + 8 bytes. */
  #timestamp(type: number): boolean {
    const pos = this.#pos;
    const dataAt = type === 0xc7 ? pos + 3 : pos + 2;
    const dataBytes = type === 0xc7 ? 12 : type === 0xd7 ? 8 : 4;
    if (dataAt + dataBytes > this.bytes.length) return this.refuse('an extension goes beyond the payload');
    if (this.bytes[dataAt - 1] !== 0xff || (type === 0xc7 && this.bytes[pos + 1] !== 12)) {
      return this.refuse('an extension other than a timestamp is not allowed');
    }
    if (dataBytes > 4) {
      const nanoseconds = dataBytes === 8 ? this.#u32(dataAt) >>> 2 : this.#u32(dataAt);
      if (nanoseconds > 999_999_999) return this.refuse('a timestamp has more than 999999999 nanoseconds');
    }
    if (dataBytes === 12) {
      const high = this.#u32(dataAt + 4) | 0;
      if (high < -0x20_0000 || high > 0x1f_ffff) return this.refuse('the seconds of a timestamp are outside ±2^53');
    }
    return this.#skip(dataAt - pos + dataBytes);
  }

  #key(): boolean {
    if (this.#looseKeys && this.count() >= 0) return true;
    if (!this.string(Number.MAX_SAFE_INTEGER)) return this.refuse('a map has a key that is not a str');
    if (!this.#looseKeys && this.#isForbidden()) return this.refuse('a map has one of the keys __proto__, constructor, prototype');
    return true;
  }

  #isForbidden(): boolean {
    const length = this.stringBytes;
    if (length !== 9 && length !== 11) return false;
    const first = this.bytes[this.stringStart];
    if (first !== 0x5f && first !== 0x63 && first !== 0x70) return false;
    for (const key of FORBIDDEN_KEYS) {
      let i = 0;
      while (i < length && this.bytes[this.stringStart + i] === key.charCodeAt(i)) i++;
      if (i === length && i === key.length) return true;
    }
    return false;
  }

  #str(headerBytes: number, length: number): boolean {
    const start = this.#pos + headerBytes;
    const end = start + length;
    if (end > this.bytes.length) return this.refuse(`a str announces ${length} bytes and ${this.#left(start)} remain`);
    if (!isUtf8(this.bytes, start, end)) return this.refuse('a str is not valid UTF-8');
    this.#pos = end;
    return true;
  }

  #bin(headerBytes: number, length: number): boolean {
    const start = this.#pos + headerBytes;
    if (start + length > this.bytes.length) return this.refuse(`a bin announces ${length} bytes and ${this.#left(start)} remain`);
    this.#pos = start + length;
    return true;
  }

  #container(headerBytes: number, entries: number, bytesPerEntry: number): number {
    const left = this.#left(this.#pos + headerBytes);
    // Every entry takes at least one byte for its key and one for its value.
    if (entries * bytesPerEntry > left || this.#pos + headerBytes > this.bytes.length) {
      this.refuse(`${bytesPerEntry === 2 ? 'a map' : 'an array'} announces ${entries} entries and ${left} bytes remain`);
      return -1;
    }
    this.#pos += headerBytes;
    return entries;
  }

  #skip(byteCount: number): boolean {
    if (this.#pos + byteCount > this.bytes.length) return this.refuse('the payload ends early');
    this.#pos += byteCount;
    return true;
  }

  #truncated(): -1 {
    this.refuse('the payload ends early');
    return -1;
  }

  #left(from: number): number {
    return Math.max(0, this.bytes.length - from);
  }

  /** Bytes beyond the end read as 0; whoever uses the result checks the end. */
  #u16(at: number): number {
    return at + 2 > this.bytes.length ? 0 : (this.bytes[at]! << 8) | this.bytes[at + 1]!;
  }

  #u32(at: number): number {
    const bytes = this.bytes;
    if (at + 4 > bytes.length) return 0;
    return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
  }
}

/** Whether the bytes from `start` to `end` are well-formed UTF-8: no overlong forms, no surrogates, at most U+10FFFF. */
export function isUtf8(bytes: Uint8Array, start: number, end: number): boolean {
  let pos = start;
  while (pos < end) {
    const lead = bytes[pos]!;
    if (lead < 0x80) {
      pos++;
      continue;
    }
    if (lead < 0xc2 || lead > 0xf4) return false;
    const tail = lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
    if (pos + tail >= end) return false;
    const second = bytes[pos + 1]!;
    // The second byte's range rules out overlong forms, surrogates (ed a0…) and what lies above U+10FFFF.
    const low = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
    const high = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
    if (second < low || second > high) return false;
    for (let i = 2; i <= tail; i++) if ((bytes[pos + i]! & 0xc0) !== 0x80) return false;
    pos += 1 + tail;
  }
  return true;
}
