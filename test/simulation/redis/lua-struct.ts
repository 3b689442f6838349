import { argumentError, checkNumber, checkString } from './lua-arguments.ts';
import { LuaError, OutsideSubset, type LuaValue } from './lua-values.ts';

const TWO_32 = 2 ** 32;

interface Field {
  readonly kind: 'number' | 'bytes';
  /** Of bytes, 0 means: as many as the number before says, or the whole string. */
  readonly size: number;
}

const formats = new Map<string, readonly Field[]>();

/** `struct.pack` with big-endian numbers without sign and `cN`. */
export function structPack(format: LuaValue, ...values: LuaValue[]): string {
  let packed = '';
  let at = 0;
  for (const { kind, size } of fieldsOf(checkString(format, 1, 'pack'))) {
    const value = values[at++];
    if (kind === 'number') packed += packNumber(checkNumber(value, at + 1, 'pack'), size);
    else {
      const text = checkString(value, at + 1, 'pack');
      const wanted = size === 0 ? text.length : size;
      if (text.length < wanted) throw new LuaError(`bad argument #${at + 1} to 'pack' (string too short)`);
      packed += text.slice(0, wanted);
    }
  }
  return packed;
}

/** `struct.unpack`: what was read, then the place behind it. */
export function structUnpack(format: LuaValue, data: LuaValue, from?: LuaValue): LuaValue[] {
  const fields = fieldsOf(checkString(format, 1, 'unpack'));
  const text = checkString(data, 2, 'unpack');
  let at = from === undefined ? 0 : Math.trunc(checkNumber(from, 3, 'unpack')) - 1;
  if (at < 0) throw argumentError(3, 'unpack', 'offset must be 1 or greater');
  const values: LuaValue[] = [];
  for (const { kind, size } of fields) {
    if (at > text.length - size) throw argumentError(2, 'unpack', 'data string too short');
    if (kind === 'number') {
      values.push(unpackNumber(text, at, size));
      at += size;
      continue;
    }
    let length = size;
    if (size === 0) {
      const before = values.pop();
      if (typeof before !== 'number') throw new LuaError("format 'c0' needs a previous size");
      length = before;
      if (at > text.length - length) throw argumentError(2, 'unpack', 'data string too short');
    }
    values.push(text.slice(at, at + length));
    at += length;
  }
  values.push(at + 1);
  return values;
}

function fieldsOf(format: string): readonly Field[] {
  let fields = formats.get(format);
  if (fields === undefined) {
    const known = /^>((?:B|H|I4|I8|c\d+)*)$/.exec(format);
    if (!known) throw new OutsideSubset(`the struct format ${format}`);
    const sizes: Record<string, number> = { B: 1, H: 2, I4: 4, I8: 8 };
    fields = (known[1]!.match(/[A-Za-z]\d*/g) ?? []).map((item) =>
      item.startsWith('c') ? { kind: 'bytes', size: Number(item.slice(1)) } : { kind: 'number', size: sizes[item]! },
    );
    formats.set(format, fields);
  }
  return fields;
}

function packNumber(value: number, size: number): string {
  if (!(Math.abs(value) < 2 ** 63)) throw new OutsideSubset(`packing the number ${value}`);
  const whole = Math.trunc(value);
  if (size < 8) return packUnsigned(((whole % TWO_32) + TWO_32) % TWO_32, size);
  return packUnsigned((Math.floor(whole / TWO_32) + TWO_32) % TWO_32, 4) + packUnsigned(((whole % TWO_32) + TWO_32) % TWO_32, 4);
}

function packUnsigned(value: number, size: number): string {
  if (size === 1) return String.fromCharCode(value & 255);
  if (size === 2) return String.fromCharCode((value >>> 8) & 255, value & 255);
  return String.fromCharCode((value >>> 24) & 255, (value >>> 16) & 255, (value >>> 8) & 255, value & 255);
}

function unpackNumber(text: string, at: number, size: number): number {
  if (size === 8) return unpackNumber(text, at, 4) * TWO_32 + unpackNumber(text, at + 4, 4);
  let value = 0;
  for (let i = 0; i < size; i++) value = value * 256 + text.charCodeAt(at + i);
  return value;
}
