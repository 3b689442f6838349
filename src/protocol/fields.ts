import { type ErrorCode, SyncError } from '../core/errors.ts';
import { MAX_PARTITIONS, type Place } from '../core/stream.ts';
import type { Value } from '../core/change.ts';
import { MsgpackReader } from './msgpack-reader.ts';
import { ValueScan } from './value-scan.ts';

/** A part of a message: like a {@link Value}, but maps are `Map`s and may have integer keys. */
export type Field = Exclude<Value, object> | Uint8Array | readonly Field[] | ReadonlyMap<string | number, Field> | object;

/**
 * The payload of a frame other than BATCH: a map whose fields are read by name, each with its type checked. Fields that
 * nobody asks for are ignored, so that later versions can add some.
 */
export class Fields {
  readonly #name: string;
  readonly #code: ErrorCode;
  readonly #map: ReadonlyMap<string | number, Field>;

  private constructor(name: string, code: ErrorCode, map: ReadonlyMap<string | number, Field>) {
    this.#name = name;
    this.#code = code;
    this.#map = map;
  }

  /**
   * Scans and decodes `payload`. `name` is how errors call it.
   * @throws {SyncError} `code`, here and from every reading method.
   */
  static read(name: string, code: ErrorCode, payload: Uint8Array): Fields {
    const scan = new ValueScan();
    scan.begin(payload, 'loose');
    if (!scan.values(1, 0) || !scan.end()) throw new SyncError(code, `the payload of ${name} cannot be read: ${scan.reason}`);
    const root = readField(new MsgpackReader(payload), name, code);
    if (!(root instanceof Map)) throw new SyncError(code, `the payload of ${name} is not a map`);
    return new Fields(name, code, root);
  }

  /** A string of at most `maxChars` UTF-16 units. */
  text(key: string, maxChars: number): string {
    const value = this.#map.get(key);
    if (typeof value !== 'string') throw this.#fault(key, 'a str');
    if (value.length > maxChars) throw this.#fault(key, `a str of at most ${maxChars} characters`);
    return value;
  }

  has(key: string): boolean {
    return this.#map.has(key);
  }

  /** An integer from 0 to `max`. */
  count(key: string, max: number = Number.MAX_SAFE_INTEGER): number {
    const value = this.#map.get(key);
    if (!isCount(value, max)) throw this.#fault(key, `an integer from 0 to ${max}`);
    return value;
  }

  flag(key: string): boolean {
    const value = this.#map.get(key);
    if (typeof value !== 'boolean') throw this.#fault(key, 'a bool');
    return value;
  }

  bin(key: string, byteCount: number): Uint8Array {
    const value = this.#map.get(key);
    if (!(value instanceof Uint8Array) || value.length !== byteCount) throw this.#fault(key, `a bin of ${byteCount} bytes`);
    return value;
  }

  /** An array of at most `maxCount` bins of `byteCount` bytes each. */
  bins(key: string, byteCount: number, maxCount: number): Uint8Array[] {
    const value = this.#map.get(key);
    const isBin = (item: unknown): item is Uint8Array => item instanceof Uint8Array && item.length === byteCount;
    if (!Array.isArray(value) || value.length > maxCount || !value.every(isBin))
      throw this.#fault(key, `an array of at most ${maxCount} bins of ${byteCount} bytes`);
    return value;
  }

  counts(key: string): number[] {
    const value = this.#map.get(key);
    if (!Array.isArray(value) || !value.every((item): item is number => isCount(item))) {
      throw this.#fault(key, 'an array of non-negative integers');
    }
    return value;
  }

  /**
   * A map by partition. Keys are integers, or the same in decimal; an array stands for the keys 0, 1, 2, …: languages
   * whose arrays are also their maps write a map that happens to have these keys as an array.
   */
  byPartition(key: string): Map<number, Field> {
    const value = this.#map.get(key);
    const entries: Iterable<[string | number, Field]> | undefined = Array.isArray(value)
      ? (value as Field[]).entries()
      : value instanceof Map
        ? (value as Map<string | number, Field>)
        : undefined;
    if (entries === undefined) throw this.#fault(key, 'a map by partition');
    const result = new Map<number, Field>();
    for (const [name, item] of entries) {
      const partition = typeof name === 'number' ? name : DECIMAL.test(name) ? Number(name) : -1;
      if (partition < 0 || partition >= MAX_PARTITIONS) throw this.#fault(key, `a map with keys from 0 to ${MAX_PARTITIONS - 1}`);
      if (result.has(partition)) throw this.#fault(key, `a map that names a partition once (${partition} is there twice)`);
      result.set(partition, item);
    }
    return result;
  }

  seqs(key: string): Map<number, number> {
    const result = new Map<number, number>();
    for (const [partition, seq] of this.byPartition(key)) {
      if (!isCount(seq) || seq === 0) throw this.#fault(key, 'a map of partitions to sequence numbers from 1');
      result.set(partition, seq);
    }
    return result;
  }

  places(key: string): Map<number, Place> {
    const result = new Map<number, Place>();
    for (const [partition, value] of this.byPartition(key)) {
      const [seq, crc] = Array.isArray(value) && value.length === 2 ? (value as Field[]) : [];
      if (!isCount(seq) || !isCount(crc, 0xffff_ffff)) throw this.#fault(key, 'a map of partitions to [seq, crc]');
      result.set(partition, { seq, crc });
    }
    return result;
  }

  /** A map from names to fields of their own; an empty array is an empty map. */
  named(key: string): Map<string, Fields> {
    const value = this.#map.get(key);
    const result = new Map<string, Fields>();
    if (Array.isArray(value) && value.length === 0) return result;
    if (!(value instanceof Map)) throw this.#fault(key, 'a map');
    for (const [name, item] of value as Map<string | number, Field>) {
      if (!(item instanceof Map)) throw this.#fault(key, 'a map of maps');
      result.set(String(name), new Fields(`${this.#name}, "${key}"`, this.#code, item));
    }
    return result;
  }

  fields(key: string): Fields {
    const value = this.#map.get(key);
    if (!(value instanceof Map)) throw this.#fault(key, 'a map');
    return new Fields(`${this.#name}, "${key}"`, this.#code, value);
  }

  texts(key: string): string[] {
    const value = this.#map.get(key);
    if (!Array.isArray(value) || !value.every((item): item is string => typeof item === 'string'))
      throw this.#fault(key, 'an array of str');
    return value;
  }

  #fault(key: string, expected: string): SyncError {
    return new SyncError(this.#code, `${this.#name}: "${key}" must be ${expected}${this.#map.has(key) ? '' : ', and is missing'}`);
  }
}

function readField(reader: MsgpackReader, name: string, code: ErrorCode): Field {
  const type = reader.peek();
  if ((type >= 0x90 && type <= 0x9f) || type === 0xdc || type === 0xdd) {
    const items: Field[] = [];
    for (let left = reader.arrayHeader(); left > 0; left--) items.push(readField(reader, name, code));
    return items;
  }
  if ((type >= 0x80 && type <= 0x8f) || type === 0xde || type === 0xdf) {
    const map = new Map<string | number, Field>();
    for (let left = reader.mapHeader(); left > 0; left--) {
      const key = reader.value() as string | number;
      if (map.has(key)) throw new SyncError(code, `the payload of ${name} repeats the key "${key}"`);
      map.set(key, readField(reader, name, code));
    }
    return map;
  }
  return reader.value();
}

function isCount(value: unknown, max: number = Number.MAX_SAFE_INTEGER): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= max;
}

const DECIMAL = /^(0|[1-9][0-9]{0,2})$/;
