import type { Client } from './channels.ts';
import { ErrorReply, NOT_AN_INTEGER, OK, SYNTAX, type Reply } from './replies.ts';
import type { Store } from './store.ts';

/** A command on the data set. */
export interface Command {
  /** As Redis counts: with the name, and negative for at least so many. */
  readonly arity: number;
  /** `denyoom`: refused when memory is full. */
  readonly kind: 'read' | 'write' | 'write denyoom';
  /** `args` begin with the name. @throws {ErrorReply} */
  run(store: Store, args: readonly string[]): Reply;
}

/** A command that is not about the data set alone. */
export interface ServerCommand {
  readonly arity: number;
  /** `read` when it is left out. */
  readonly kind?: Command['kind'];
  /** Answered also while the data set is loaded. */
  readonly whileLoading?: 'answered';
  run(args: readonly string[], client: Client | undefined): Reply;
}

/** What is possible in Redis and not in the simulation: never an answer, always a test that fails. */
export class NotSimulated extends Error {
  override name = 'NotSimulated';
}

/** Beyond this a hash is no listpack any more, and HSCAN goes through it in steps. */
const MAX_SMALL_HASH = 512;
const MAX_SMALL_VALUE = 64;
const INTEGER = /^(0|-?[1-9]\d{0,18})$/;
const MAX_INT64 = 2n ** 63n - 1n;
const MIN_INT64 = -(2n ** 63n);

export const DATA_COMMANDS: Readonly<Record<string, Command>> = {
  GET: { arity: 2, kind: 'read', run: (store, [, key]) => store.getString(key!) ?? null },
  SET: { arity: -3, kind: 'write denyoom', run: set },
  GETRANGE: { arity: 4, kind: 'read', run: getrange },
  COPY: { arity: -3, kind: 'write denyoom', run: copy },
  DEL: {
    arity: -2,
    kind: 'write',
    run: (store, [, ...keys]) => keys.filter((key) => store.get(key) !== undefined && store.remove(key)).length,
  },
  PEXPIRE: { arity: -3, kind: 'write', run: pexpire },
  PERSIST: { arity: 2, kind: 'write', run: persist },
  PTTL: { arity: 2, kind: 'read', run: pttl },
  DBSIZE: { arity: 1, kind: 'read', run: (store) => store.size },
  FLUSHALL: {
    arity: -1,
    kind: 'write',
    run: (store, [, mode]) => {
      if (mode !== undefined && !/^(a?sync)$/i.test(mode)) throw new ErrorReply(SYNTAX);
      store.clear();
      return OK;
    },
  },
  TIME: { arity: 1, kind: 'read', run: ({ wallMs }) => [String(Math.floor(wallMs / 1000)), String((wallMs % 1000) * 1000)] },

  RPUSH: { arity: -3, kind: 'write denyoom', run: (store, [, key, ...items]) => store.push(key!, items) },
  LLEN: { arity: 2, kind: 'read', run: (store, [, key]) => store.getList(key!)?.length ?? 0 },
  LINDEX: {
    arity: 3,
    kind: 'read',
    run: (store, [, key, index]) => {
      const list = store.getList(key!);
      if (list === undefined) return null;
      const at = parseInteger(index!);
      return list.at(at < 0 ? list.length + at : at) ?? null;
    },
  },
  LRANGE: {
    arity: 4,
    kind: 'read',
    run: (store, [, key, start, stop]) => {
      const bounds = [parseInteger(start!), parseInteger(stop!)] as const;
      const list = store.getList(key!);
      return list === undefined ? [] : list.range(...within(list.length, ...bounds));
    },
  },
  LTRIM: {
    arity: 4,
    kind: 'write',
    run: (store, [, key, start, stop]) => {
      const bounds = [parseInteger(start!), parseInteger(stop!)] as const;
      const list = store.getList(key!);
      if (list !== undefined) store.trim(key!, ...within(list.length, ...bounds));
      return OK;
    },
  },

  HGET: { arity: 3, kind: 'read', run: (store, [, key, field]) => store.getHash(key!)?.get(field!) ?? null },
  HMGET: {
    arity: -3,
    kind: 'read',
    run: (store, [, key, ...fields]) => {
      const hash = store.getHash(key!);
      return fields.map((field) => hash?.get(field) ?? null);
    },
  },
  HGETALL: { arity: 2, kind: 'read', run: (store, [, key]) => [...(store.getHash(key!) ?? [])].flat() },
  HLEN: { arity: 2, kind: 'read', run: (store, [, key]) => store.getHash(key!)?.size ?? 0 },
  HSET: {
    arity: -4,
    kind: 'write denyoom',
    run: (store, [, key, ...pairs]) => {
      if (pairs.length % 2 === 1) throw new ErrorReply(wrongArity('hset'));
      let added = 0;
      for (let i = 0; i < pairs.length; i += 2) if (store.setField(key!, pairs[i]!, pairs[i + 1]!)) added++;
      return added;
    },
  },
  HSETNX: {
    arity: 4,
    kind: 'write denyoom',
    run: (store, [, key, field, value]) => {
      if (store.getHash(key!)?.has(field!)) return 0;
      store.setField(key!, field!, value!);
      return 1;
    },
  },
  HINCRBY: { arity: 4, kind: 'write denyoom', run: hincrby },
  HDEL: { arity: -3, kind: 'write', run: (store, [, key, ...fields]) => fields.filter((field) => store.removeField(key!, field)).length },
  HSCAN: { arity: -3, kind: 'read', run: hscan },
};

/** Names as they were given, in upper case: few are, again and again. */
const names = new Map<string, string>();
const MAX_NAMES = 1_000;

/** The name of a command in upper case. */
export function commandName(given: string): string {
  let name = names.get(given);
  if (name === undefined) {
    if (names.size >= MAX_NAMES) names.clear();
    names.set(given, (name = given.toUpperCase()));
  }
  return name;
}

export function wrongArity(name: string): string {
  return `ERR wrong number of arguments for '${name}' command`;
}

/** Reads a 64-bit integer as strictly as Redis; what is larger than any length comes as the largest. @throws {ErrorReply} */
export function parseInteger(text: string): number {
  // As most are.
  if (text.length < 16 && INTEGER.test(text)) return Number(text);
  const value = Number(parseInt64(text));
  return Math.max(Number.MIN_SAFE_INTEGER, Math.min(value, Number.MAX_SAFE_INTEGER));
}

function parseInt64(text: string, message: string = NOT_AN_INTEGER): bigint {
  if (!INTEGER.test(text)) throw new ErrorReply(message);
  const value = BigInt(text);
  if (value > MAX_INT64 || value < MIN_INT64) throw new ErrorReply(message);
  return value;
}

/** First and behind the last of a range of a list, as LRANGE and LTRIM count. */
function within(length: number, start: number, stop: number): [from: number, to: number] {
  const from = Math.max(start < 0 ? length + start : start, 0);
  const last = Math.min(stop < 0 ? length + stop : stop, length - 1);
  return from > last || from >= length ? [0, 0] : [from, last + 1];
}

function set(store: Store, [, key, value, ...options]: readonly string[]): Reply {
  let condition: 'NX' | 'XX' | undefined;
  let ttl: string | undefined;
  for (let i = 0; i < options.length; i++) {
    const option = options[i]!.toUpperCase();
    if ((option === 'NX' || option === 'XX') && (condition === undefined || condition === option)) condition = option;
    else if (option === 'PX' && ttl === undefined && i + 1 < options.length) ttl = options[++i];
    else if (['EX', 'EXAT', 'PXAT', 'KEEPTTL', 'GET'].includes(option)) throw new NotSimulated(`SET with ${option}`);
    else throw new ErrorReply(SYNTAX);
  }
  const expireAtMs = ttl === undefined ? undefined : expiry(store, ttl, 'set', 1n);
  if (condition !== undefined && (condition === 'NX') === (store.get(key!) !== undefined)) return null;
  store.setString(key!, value!, expireAtMs);
  return OK;
}

function getrange(store: Store, [, key, start, end]: readonly string[]): Reply {
  const bounds = [parseInteger(start!), parseInteger(end!)] as const;
  const text = store.getString(key!) ?? '';
  // Of two negative ones in the wrong order, nothing; otherwise what is before the beginning is the beginning.
  if (bounds[0] < 0 && bounds[1] < 0 && bounds[0] > bounds[1]) return '';
  const [from, last] = bounds.map((at) => (at < 0 ? Math.max(text.length + at, 0) : at)) as [number, number];
  return text.slice(from, last + 1);
}

function copy(store: Store, [, from, to, ...options]: readonly string[]): Reply {
  if (options.length > 0) throw new NotSimulated('COPY with options');
  if (from === to) throw new ErrorReply('ERR source and destination objects are the same');
  const value = store.get(from!);
  if (value === undefined || store.get(to!) !== undefined) return 0;
  if (typeof value !== 'string') throw new NotSimulated('COPY of what is no string');
  store.setString(to!, value, store.expiryOf(from!));
  return 1;
}

function pexpire(store: Store, [, key, ttl, ...options]: readonly string[]): Reply {
  if (options.length > 0) throw new NotSimulated('PEXPIRE with options');
  const atMs = expiry(store, ttl!, 'pexpire', MIN_INT64);
  if (store.get(key!) === undefined) return 0;
  if (atMs <= store.wallMs) store.remove(key!);
  else store.expire(key!, atMs);
  return 1;
}

function persist(store: Store, [, key]: readonly string[]): Reply {
  if (store.get(key!) === undefined || store.expiryOf(key!) === undefined) return 0;
  store.expire(key!, undefined);
  return 1;
}

function expiry(store: Store, ttl: string, command: string, least: bigint): number {
  const ms = parseInt64(ttl);
  if (ms < least || ms > MAX_INT64 - BigInt(store.wallMs)) throw new ErrorReply(`ERR invalid expire time in '${command}' command`);
  return Number(ms) + store.wallMs;
}

function pttl(store: Store, [, key]: readonly string[]): Reply {
  if (store.get(key!) === undefined) return -2;
  const atMs = store.expiryOf(key!);
  return atMs === undefined ? -1 : Math.max(0, atMs - store.wallMs);
}

function hincrby(store: Store, [, key, field, by]: readonly string[]): Reply {
  const increment = parseInt64(by!);
  const before = parseInt64(store.getHash(key!)?.get(field!) ?? '0', 'ERR hash value is not an integer');
  const value = before + increment;
  if (value > MAX_INT64 || value < MIN_INT64) throw new ErrorReply('ERR increment or decrement would overflow');
  store.setField(key!, field!, String(value));
  return Number(value);
}

/**
 * A small hash in one go, a large one in the order of digests of its fields: whatever is there from the first step to the
 * last is returned, whatever comes and goes meanwhile.
 */
function hscan(store: Store, [, key, cursor, ...options]: readonly string[]): Reply {
  if (!/^\d{1,19}$/.test(cursor!)) throw new ErrorReply('ERR invalid cursor');
  const hash = store.getHash(key!);
  if (hash === undefined) return ['0', []];
  let count = 10;
  for (let i = 0; i < options.length; i += 2) {
    const [option, value] = [options[i]!.toUpperCase(), options[i + 1]];
    if (option !== 'COUNT' && option !== 'MATCH') throw new ErrorReply(SYNTAX);
    if (value === undefined) throw new ErrorReply(SYNTAX);
    if (option === 'MATCH') throw new NotSimulated('HSCAN with MATCH');
    count = parseInteger(value);
    if (count < 1) throw new ErrorReply(SYNTAX);
  }
  const isSmall = hash.size <= MAX_SMALL_HASH && [...hash].every((pair) => pair.every((text) => text.length <= MAX_SMALL_VALUE));
  if (isSmall) return ['0', [...hash].flat()];
  const from = Number(cursor);
  const rest = [...hash].map(([field, value]) => ({ field, value, digest: digestOf(field) })).filter(({ digest }) => digest >= from);
  rest.sort((a, b) => a.digest - b.digest);
  // Fields of one digest stay together, because the cursor cannot stand between them.
  while (count < rest.length && rest[count]!.digest === rest[count - 1]!.digest) count++;
  const next = rest[count];
  return [next === undefined ? '0' : String(next.digest), rest.slice(0, count).flatMap(({ field, value }) => [field, value])];
}

/** FNV-1a, and never 0, which as a cursor means the end. */
function digestOf(field: string): number {
  let digest = 0x811c9dc5;
  for (let i = 0; i < field.length; i++) digest = Math.imul(digest ^ field.charCodeAt(i), 0x01000193);
  return (digest >>> 0) + 1;
}
