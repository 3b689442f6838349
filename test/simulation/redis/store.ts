import type { SeededRandom } from '../../support/seeded-random.ts';
import type { Change, Copy } from './changes.ts';
import { ListValue } from './list-value.ts';
import { ErrorReply, WRONG_TYPE } from './replies.ts';

export type Value = string | ListValue | Map<string, string>;

/** Which keys give way when memory is short. */
export type EvictionPolicy = 'noeviction' | 'allkeys-lru' | 'volatile-ttl';

interface Entry {
  value: Value;
  /** Wall-clock time of the server. */
  expireAtMs: number | undefined;
  lastUse: number;
  bytes: number;
}

/** One write as persistence and replication see it: a command, or a script as a whole. */
interface Write {
  readonly atMs: number;
  readonly bytes: number;
  readonly undo: readonly (() => void)[];
}

/** What an empty server takes. */
const BASE_BYTES = 900_000;
const KEY_BYTES = 72;
const ITEM_BYTES = 11;
const FIELD_BYTES = 24;
/** How many candidates an eviction looks at. */
const SAMPLES = 5;

/**
 * The data set of one server, with what is needed to take its last writes back.
 *
 * Known differences from Redis 7.0, here and in the files beside:
 * - Memory is an estimate by length. What has expired goes when it is looked at, and not in the background. Eviction picks
 *   among five random keys, and goes on until there is room.
 * - HSCAN of a large hash, and `pairs` in scripts, walk in another order.
 * - TIME has the resolution of the host's wall clock, a millisecond. Commands take no time.
 * - There is one database, no user, no MULTI, no pattern of channels and no blocking command but WAIT. A command, an option, a setting or a piece of Lua that is not simulated throws instead of being answered, also where Redis would answer with
 *   an error. Who listens to a channel and takes nothing is never disconnected for it.
 * - `unpack` in scripts takes 7900 values; in Redis 8000, less what is on the stack.
 * - A background rewrite of the file never happens; a sync takes a random time. A disk that is full is not simulated.
 */
export class Store {
  /** The server's wall clock, ms. */
  readonly #wallMs: () => number;
  readonly #random: SeededRandom;
  #entries = new Map<string, Entry>();
  #useCount = 0;
  #undo: (() => void)[] = [];
  #unitBytes = 0;
  #writes: Write[] = [];
  readonly #historyLimit: number;
  /** Told of every change, for replicas. */
  onChange: ((change: Change) => void) | undefined;
  /** A replica waits until its primary removes what has expired, and hides it; while it makes changes again nothing has. */
  expiry: 'removes' | 'hides' | 'ignored' = 'removes';
  usedBytes = BASE_BYTES;
  /** Bytes of writes that were made: the replication offset. */
  offset = 0;

  /** Keeps at least the last `historyLimit` writes, so that they can be taken back. */
  constructor(wallMs: () => number, random: SeededRandom, historyLimit: number) {
    this.#wallMs = wallMs;
    this.#random = random;
    this.#historyLimit = historyLimit;
  }

  get size(): number {
    return this.#entries.size;
  }

  get wallMs(): number {
    return this.#wallMs();
  }

  /** The keys, whether they have expired or not. */
  keys(): string[] {
    return [...this.#entries.keys()];
  }

  // Reading

  get(key: string): Value | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    if (entry.expireAtMs !== undefined && this.expiry !== 'ignored' && this.#wallMs() > entry.expireAtMs) {
      if (this.expiry === 'removes') this.remove(key);
      return undefined;
    }
    entry.lastUse = ++this.#useCount;
    return entry.value;
  }

  getString(key: string): string | undefined {
    const value = this.get(key);
    if (value !== undefined && typeof value !== 'string') throw new ErrorReply(WRONG_TYPE);
    return value;
  }

  getList(key: string): ListValue | undefined {
    const value = this.get(key);
    if (value !== undefined && !(value instanceof ListValue)) throw new ErrorReply(WRONG_TYPE);
    return value;
  }

  getHash(key: string): Map<string, string> | undefined {
    const value = this.get(key);
    if (value !== undefined && !(value instanceof Map)) throw new ErrorReply(WRONG_TYPE);
    return value;
  }

  /** What a list holds, looked at past the server: nothing counts as used by it. */
  listAt(key: string): string[] {
    const value = this.#entries.get(key)?.value;
    return value instanceof ListValue ? value.range(0, value.length) : [];
  }

  /** A string, looked at in the same way. */
  stringAt(key: string): string | undefined {
    const value = this.#entries.get(key)?.value;
    return typeof value === 'string' ? value : undefined;
  }

  /** How long a list is; as {@link listAt}. */
  lengthAt(key: string): number {
    const value = this.#entries.get(key)?.value;
    return value instanceof ListValue ? value.length : 0;
  }

  /** When a key expires; undefined when it does not, or is not there. */
  expiryOf(key: string): number | undefined {
    return this.#entries.get(key)?.expireAtMs;
  }

  // Writing

  setString(key: string, value: string, expireAtMs: number | undefined): void {
    this.#put(key, { value, expireAtMs, lastUse: ++this.#useCount, bytes: sizeOf(key, value) });
    this.#unitBytes += value.length;
    this.onChange?.(['setString', key, value, expireAtMs]);
  }

  remove(key: string): boolean {
    const entry = this.#entries.get(key);
    if (entry === undefined) return false;
    this.#delete(key, entry);
    this.#undo.push(() => this.#insert(key, entry));
    this.#unitBytes += key.length;
    this.onChange?.(['remove', key]);
    return true;
  }

  /** Undefined: never. */
  expire(key: string, atMs: number | undefined): void {
    const entry = this.#entries.get(key)!;
    const before = entry.expireAtMs;
    entry.expireAtMs = atMs;
    this.#undo.push(() => (entry.expireAtMs = before));
    this.#unitBytes += key.length;
    this.onChange?.(['expire', key, atMs]);
  }

  /** Appends to a list, which is made when it is not there; gives its length. */
  push(key: string, items: readonly string[]): number {
    const list = this.getList(key) ?? this.#create(key, new ListValue());
    list.push(items);
    const bytes = itemBytes(items);
    this.#grow(key, bytes);
    this.#undo.push(() => {
      list.takeLast(items.length);
      this.#grow(key, -bytes);
    });
    this.#unitBytes += bytes;
    this.onChange?.(['push', key, items]);
    return list.length;
  }

  /** Keeps the items from `from` to before `to` of a list; without any, the key is removed. */
  trim(key: string, from: number, to: number): void {
    const list = this.getList(key)!;
    if (from >= to) {
      this.remove(key);
      return;
    }
    const last = list.takeLast(list.length - to);
    const first = list.takeFirst(from);
    const bytes = itemBytes(first) + itemBytes(last);
    this.#grow(key, -bytes);
    this.#undo.push(() => {
      list.unshift(first);
      list.push(last);
      this.#grow(key, bytes);
    });
    this.#unitBytes += key.length;
    this.onChange?.(['trim', key, from, to]);
  }

  /** Sets a field of a hash, which is made when it is not there; gives whether the field is new. */
  setField(key: string, field: string, value: string): boolean {
    const hash = this.getHash(key) ?? this.#create(key, new Map<string, string>());
    const before = hash.get(field);
    const bytes = before === undefined ? FIELD_BYTES + field.length + value.length : value.length - before.length;
    hash.set(field, value);
    this.#grow(key, bytes);
    this.#undo.push(() => {
      if (before === undefined) hash.delete(field);
      else hash.set(field, before);
      this.#grow(key, -bytes);
    });
    this.#unitBytes += field.length + value.length;
    this.onChange?.(['setField', key, field, value]);
    return before === undefined;
  }

  /** Removes a field, and with the last one the key. */
  removeField(key: string, field: string): boolean {
    const hash = this.getHash(key);
    const before = hash?.get(field);
    if (hash === undefined || before === undefined) return false;
    if (hash.size === 1) return this.remove(key);
    const bytes = FIELD_BYTES + field.length + before.length;
    hash.delete(field);
    this.#grow(key, -bytes);
    this.#undo.push(() => {
      hash.set(field, before);
      this.#grow(key, bytes);
    });
    this.#unitBytes += field.length;
    this.onChange?.(['removeField', key, field]);
    return true;
  }

  clear(): void {
    if (this.#entries.size === 0) return;
    const [entries, usedBytes] = [this.#entries, this.usedBytes];
    this.#entries = new Map();
    this.usedBytes = BASE_BYTES;
    this.#undo.push(() => {
      this.#entries = entries;
      this.usedBytes = usedBytes;
    });
    this.#unitBytes += 1;
    this.onChange?.(['clear']);
  }

  /** Makes a change again that {@link onChange} was told of elsewhere. */
  apply(change: Change): void {
    switch (change[0]) {
      case 'setString':
        return this.setString(change[1], change[2], change[3]);
      case 'remove':
        return void this.remove(change[1]);
      case 'expire':
        return this.expire(change[1], change[2]);
      case 'push':
        return void this.push(change[1], change[2]);
      case 'trim':
        return this.trim(change[1], change[2], change[3]);
      case 'setField':
        return void this.setField(change[1], change[2], change[3]);
      case 'removeField':
        return void this.removeField(change[1], change[2]);
      case 'clear':
        return this.clear();
    }
  }

  /** Makes room: removes keys until `limit` bytes are enough; false when no key that may give way is left. */
  evict(limit: number, policy: EvictionPolicy): boolean {
    while (this.usedBytes > limit) {
      const key = policy === 'noeviction' ? undefined : this.#victim(policy);
      if (key === undefined) return false;
      this.remove(key);
      this.commit(0);
    }
    return true;
  }

  // History

  /** Ends a write, if anything was written since the last one: later it is kept or lost as a whole. Gives whether there was one. */
  commit(nowMs: number): boolean {
    if (this.#undo.length === 0) return false;
    const bytes = this.#unitBytes + 32;
    this.#writes.push({ atMs: nowMs, bytes, undo: this.#undo });
    this.#undo = [];
    this.#unitBytes = 0;
    this.offset += bytes;
    return true;
  }

  /** Writes that can be taken back. */
  get writeCount(): number {
    return this.#writes.length;
  }

  /** How many writes were made after `timeMs`. */
  writesSince(timeMs: number): number {
    let count = 0;
    while (count < this.#writes.length && this.#writes[this.#writes.length - 1 - count]!.atMs > timeMs) count++;
    return count;
  }

  /** Forgets how to take back what was written before `timeMs`, but for the last `historyLimit` writes. */
  forget(timeMs: number): void {
    if (this.#writes.length < 2 * this.#historyLimit) return;
    const kept = Math.max(this.#historyLimit, this.writesSince(timeMs));
    this.#writes = this.#writes.slice(-kept);
  }

  /** Takes the last `count` writes back, or as many as are remembered; gives how many. */
  rollBack(count: number): number {
    let done = 0;
    for (; done < count; done++) {
      const write = this.#writes.pop();
      if (write === undefined) break;
      for (const undo of write.undo.toReversed()) undo();
      this.offset -= write.bytes;
    }
    return done;
  }

  /** All is lost, as when there was no file. */
  wipe(): void {
    this.#entries = new Map();
    this.#writes = [];
    this.usedBytes = BASE_BYTES;
    this.offset = 0;
  }

  /** Of all keys, or of some that are there. */
  copy(keys: readonly string[] = this.keys()): Copy {
    return keys.map((key) => {
      const { value, expireAtMs } = this.#entries.get(key)!;
      if (typeof value === 'string') return { key, value, expireAtMs };
      return { key, value: value instanceof Map ? { hash: [...value] } : { list: value.range(0, value.length) }, expireAtMs };
    });
  }

  /** Makes a key that is not there as it was elsewhere. */
  put({ key, value, expireAtMs }: Copy[number]): void {
    if (typeof value === 'string') this.setString(key, value, expireAtMs);
    else if ('list' in value) this.push(key, value.list);
    else for (const [field, text] of value.hash) this.setField(key, field, text);
    if (expireAtMs !== undefined) this.expire(key, expireAtMs);
  }

  /** Puts a copy of another data set in place of this one, for good. */
  load(copy: Copy): void {
    this.wipe();
    this.expiry = 'ignored';
    for (const each of copy) this.put(each);
    this.expiry = 'hides';
    this.#undo = [];
    this.#unitBytes = 0;
  }

  #victim(policy: 'allkeys-lru' | 'volatile-ttl'): string | undefined {
    const entries = [...this.#entries].filter(([, entry]) => policy === 'allkeys-lru' || entry.expireAtMs !== undefined);
    const sampled = Array.from({ length: Math.min(SAMPLES, entries.length) }, () => this.#random.pick(entries));
    const rank = ([, entry]: (typeof entries)[number]) => (policy === 'allkeys-lru' ? entry.lastUse : entry.expireAtMs!);
    return sampled.sort((a, b) => rank(a) - rank(b))[0]?.[0];
  }

  #create<T extends Value>(key: string, value: T): T {
    this.#put(key, { value, expireAtMs: undefined, lastUse: ++this.#useCount, bytes: sizeOf(key, '') });
    return value;
  }

  #put(key: string, entry: Entry): void {
    const before = this.#entries.get(key);
    this.#insert(key, entry);
    this.#undo.push(() => {
      this.#delete(key, entry);
      if (before !== undefined) this.#insert(key, before);
    });
  }

  #insert(key: string, entry: Entry): void {
    this.usedBytes += entry.bytes - (this.#entries.get(key)?.bytes ?? 0);
    this.#entries.set(key, entry);
  }

  #delete(key: string, entry: Entry): void {
    this.#entries.delete(key);
    this.usedBytes -= entry.bytes;
  }

  #grow(key: string, bytes: number): void {
    this.#entries.get(key)!.bytes += bytes;
    this.usedBytes += bytes;
  }
}

function sizeOf(key: string, value: string): number {
  return KEY_BYTES + key.length + value.length;
}

function itemBytes(items: readonly string[]): number {
  let bytes = 0;
  for (const item of items) bytes += ITEM_BYTES + item.length;
  return bytes;
}
