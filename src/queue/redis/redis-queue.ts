import { systemClock, type Clock } from '../../core/clock.ts';
import { SyncError } from '../../core/errors.ts';
import { groupBy } from '../../core/group-by.ts';
import type { Lease } from '../../core/lease.ts';
import { systemRandom, type Random } from '../../core/random.ts';
import type { Place, StreamId } from '../../core/stream.ts';
import { readStoreTime } from '../element.ts';
import { QueueEvents } from '../queue-events.ts';
import type {
  Acquisition,
  Admission,
  AppendEntry,
  AppendResult,
  Backlog,
  Element,
  FetchLimits,
  Floor,
  Member,
  MemberList,
  Queue,
  QueueEvent,
  QueueSettings,
  Reset,
} from '../queue.ts';
import { recordOfSettings, settingsMismatch } from '../settings.ts';
import { RedisAnnouncements } from './announcements.ts';
import { readRedisUrl } from './server-options.ts';
import { NOT_CONNECTED } from './condition.ts';
import { RedisConditions } from './conditions.ts';
import { QueueKeys } from './keys.ts';
import type { Argument, Command } from './link.ts';
import {
  APART_LIMITS,
  hasAppended,
  packEntries,
  packFloors,
  packStreamAt,
  parseStreamRecord,
  unpackMembers,
  unpackPlaces,
  unpackResults,
  type ApartLimits,
} from './pack.ts';
import { DEFAULT_PREFIX, fetchElements, type RedisReaderOptions } from './redis-reader.ts';
import type { ReplicatedCall } from './replicated.ts';
import { createRouter, type RedisRouter, type RouterAccess } from './router.ts';
import { loadScript, loadScripts, type Script } from './scripts.ts';

export interface RedisQueueOptions extends RedisReaderOptions {
  /** Share of maxmemory, in percent, at which producers are held back. */
  readonly pressurePercent?: number;
  /** How often eviction policy, memory and whether writes are taken are looked at. */
  readonly pollMs?: number;
  /** Receives what is not wrong but unwise about this Redis, each message once. */
  readonly warn?: (message: string) => void;
  /** How many replicas must have what is stored; how long they may take is `replicaTimeoutMs`. */
  readonly replicas?: number;
  readonly clock?: Clock;
  readonly apartLimits?: ApartLimits;
  /** Whether other nodes use the queue, which hear what this one announces and the other way round. */
  readonly shared?: boolean;
}

/** What one script call may hold, so that Redis is not busy with one for long. */
const MAX_CALL_BYTES = 1024 * 1024;
const MAX_CALL_ENTRIES = 1024;
/** How long frames that are kept apart wait for the script that is sent with them, and keeps them for good. */
const UNLISTED_TTL_MS = 5000;
const SCAN_COUNT = 1000;
const NO_BACKLOG: Backlog = { count: 0, bytes: 0, headStoredAtUs: undefined };

/**
 * Opens the queue in a Redis, 7.0 or newer. Resolves also when Redis is away: admission is then held until it comes.
 * @throws {SyncError} `queue_mismatch`, `queue_unsuitable` or `bad_config` when a Redis that answers cannot be used.
 */
export async function openRedisQueue(settings: QueueSettings, options: RedisQueueOptions): Promise<Queue> {
  const queue = new RedisQueue(settings, options);
  try {
    await queue.firstContact();
  } catch (error) {
    await queue.close();
    throw error;
  }
  return queue;
}

class RedisQueue implements Queue {
  readonly partitionCount: number;
  readonly #settings: QueueSettings;
  readonly #recorded: string;
  readonly #random: Random;
  readonly #apartLimits: ApartLimits;
  readonly #keys: QueueKeys;
  readonly #scripts = loadScripts();
  readonly #events = new QueueEvents({ state: 'held', reason: NOT_CONNECTED });
  readonly #conditions: RedisConditions;
  readonly #router: RedisRouter;
  readonly #announcements: RedisAnnouncements | undefined;
  /** Not loaded ahead: a node that is alone never runs it. */
  readonly #memberScript = loadScript('member');

  constructor(settings: QueueSettings, options: RedisQueueOptions) {
    const { pressurePercent = 70, pollMs = 1000, warn = () => {}, clock = systemClock, random = systemRandom } = options;
    this.partitionCount = settings.partitions;
    this.#settings = settings;
    this.#recorded = recordOfSettings(settings);
    this.#random = random;
    this.#apartLimits = options.apartLimits ?? APART_LIMITS;
    this.#keys = new QueueKeys(options.prefix ?? DEFAULT_PREFIX);
    const isReplaceable = readRedisUrl(options.url).kind !== 'single';
    this.#conditions = new RedisConditions(this.#scripts, settings, { pressurePercent, pollMs, isReplaceable, warn }, clock, this.#events);
    const metas = Array.from({ length: settings.partitions }, (_, partition) => this.#keys.meta(partition));
    this.#router = createRouter(options, [this.#keys.installation, ...metas], this.#conditions);
    if (options.shared)
      this.#announcements = new RedisAnnouncements(this.#keys.announcements, options, this.#router.target, clock, random, this.#events);
  }

  async firstContact(): Promise<void> {
    await this.#router.located();
    return this.#conditions.firstContact();
  }

  async append(partition: number, entries: readonly AppendEntry[]): Promise<AppendResult[]> {
    this.#check(partition);
    const { unfit } = this.#conditions;
    if (unfit) throw unfit;
    const results: AppendResult[] = [];
    // One after the other: a later part must not overtake one that did not arrive.
    for (const part of cutEntries(entries)) results.push(...(await this.#appendPart(partition, part)));
    return results;
  }

  async raise(floors: readonly Floor[]): Promise<Place[]> {
    const places: Place[] = Array.from({ length: floors.length });
    await Promise.all(
      [...groupBy(floors, (floor) => floor.partition)].map(async ([partition, indexes]) => {
        this.#check(partition);
        const mark = this.#keys.meta(partition);
        const keys = [this.#keys.streams(partition), mark];
        for (const part of chunks(indexes)) {
          const packed = packFloors(part.map((index) => floors[index] as Floor));
          const call = { script: this.#scripts.raise, keys, args: [this.#recorded, packed], mark, hasWritten: () => false };
          const raised = unpackPlaces((await this.#explained(this.#router.runReplicated(call))) as Buffer);
          part.forEach((index, i) => (places[index] = raised[i] as Place));
        }
      }),
    );
    return places;
  }

  async streams(partition: number): Promise<Map<StreamId, Place>> {
    this.#check(partition);
    const key = this.#keys.streams(partition);
    const places = new Map<StreamId, Place>();
    let connection = '';
    let cursor = '0';
    for (;;) {
      const [next, fields] = (await this.#router.command('HSCAN', key, cursor, 'COUNT', SCAN_COUNT)) as [Buffer, Buffer[]];
      const now = this.#router.connectionTo(key);
      if (cursor !== '0' && connection !== now) {
        // A cursor means nothing to another server, nor to the same one after a restart: it would skip some.
        cursor = '0';
        places.clear();
        continue;
      }
      for (let i = 0; i < fields.length; i += 2) places.set(String(fields[i]), parseStreamRecord(String(fields[i + 1])));
      connection = now;
      cursor = String(next);
      if (cursor === '0') return places;
    }
  }

  fetch(sink: string, partition: number, limits: FetchLimits): Promise<Element[]> {
    this.#check(partition);
    return fetchElements(this.#router, this.#scripts, this.#keys, { sink, partition }, limits);
  }

  async trim(lease: Lease, count: number, last: Uint8Array, resets: readonly Reset[], apart: readonly string[] = []): Promise<boolean> {
    const { sink, partition } = lease;
    const keys = [
      this.#keys.list(sink, partition),
      this.#keys.lease(sink, partition),
      this.#keys.streams(partition),
      this.#keys.meta(partition),
      ...apart.map((append) => this.#keys.frames(sink, partition, append)),
    ];
    const packed = Buffer.concat(resets.map((reset) => packStreamAt(reset.stream, reset.place)));
    const args = [lease.token, count, Buffer.from(last), packed, Buffer.from(apart.join(''), 'hex')];
    return (await this.#run(this.#scripts.trim, keys, args)) === 1;
  }

  async heal(lease: Lease, watermarks: ReadonlyMap<StreamId, Place>): Promise<StreamId[]> {
    const { sink, partition } = lease;
    const keys = [this.#keys.list(sink, partition), this.#keys.lease(sink, partition), this.#keys.streams(partition)];
    const healed: StreamId[] = [];
    for (const part of chunks([...watermarks])) {
      const packed = Buffer.concat(part.map(([stream, place]) => packStreamAt(stream, place)));
      const numbers = (await this.#run(this.#scripts.heal, keys, [lease.token, packed])) as number[];
      for (const number of numbers) healed.push((part[number] as [StreamId, Place])[0]);
    }
    return healed;
  }

  async backlog(sink: string): Promise<Backlog[]> {
    const backlogs: Backlog[] = Array.from({ length: this.partitionCount });
    const lists = backlogs.map((_, partition) => this.#keys.list(sink, partition));
    await this.#eachTogether(lists, async (partitions) => {
      const keys = partitions.flatMap((partition) => [lists[partition] as string, this.#keys.meta(partition)]);
      const reply = (await this.#run(this.#scripts.backlog, keys, [])) as (number | Buffer)[];
      for (const [i, partition] of partitions.entries()) {
        const [count, bytes, head] = reply.slice(3 * i, 3 * i + 3) as [number, number, Buffer];
        backlogs[partition] = count === 0 ? NO_BACKLOG : { count, bytes, headStoredAtUs: readStoreTime(head) };
      }
    });
    return backlogs;
  }

  async forget(partition: number, streams: readonly StreamId[]): Promise<void> {
    this.#check(partition);
    for (const part of chunks(streams)) await this.#router.command('HDEL', this.#keys.streams(partition), ...part);
  }

  async acquire(lease: Lease, holder: string, ttlMs: number, how: 'steal' | 'take' | 'wait'): Promise<Acquisition> {
    this.#check(lease.partition);
    const keys = [this.#keys.lease(lease.sink, lease.partition), this.#keys.meta(lease.partition)];
    const [taken, other, leftMs] = (await this.#run(this.#scripts.acquire, keys, [lease.token, holder, ttlMs, how])) as [
      number,
      Buffer,
      number?,
    ];
    const name = String(other);
    return taken === 1 ? { taken: true, before: name === '' ? undefined : name } : { taken: false, holder: name, leftMs: leftMs ?? 0 };
  }

  async renew(leases: readonly Lease[], ttlMs: number): Promise<boolean[]> {
    const held: boolean[] = Array.from({ length: leases.length }, () => false);
    const keys = leases.map(({ sink, partition }) => this.#keys.lease(sink, partition));
    await this.#eachTogether(keys, async (indexes) => {
      const args = [ttlMs, ...indexes.map((index) => (leases[index] as Lease).token)];
      const reply = (await this.#run(this.#scripts.renew, pick(keys, indexes), args)) as number[];
      indexes.forEach((index, i) => (held[index] = reply[i] === 1));
    });
    return held;
  }

  async release(leases: readonly Lease[]): Promise<void> {
    const leaseKeys = leases.map(({ sink, partition }) => this.#keys.lease(sink, partition));
    await this.#eachTogether(leaseKeys, async (indexes) => {
      const held = pick(leases, indexes);
      const keys = held.flatMap(({ partition }, i) => [leaseKeys[indexes[i] as number] as string, this.#keys.meta(partition)]);
      const tokens = held.map(({ token }) => token);
      await this.#run(this.#scripts.release, keys, tokens);
    });
  }

  useAccess(access: RouterAccess): void {
    this.#router.useAccess(access);
    this.#announcements?.useAccess(access);
  }

  async keepMember({ name, incarnation, about }: Member, ttlMs: number): Promise<MemberList> {
    const reply = await this.#run(this.#memberScript, [this.#keys.members], [name, incarnation, ttlMs, about]);
    return unpackMembers(reply as readonly [Buffer, number, ...Buffer[]]);
  }

  announce(message: string): void {
    if (this.#announcements === undefined) return;
    this.#router.command('PUBLISH', this.#keys.announcements, message).catch((error: unknown) => {
      // Hints may be lost: whoever misses one looks at intervals.
      if (!(error instanceof SyncError)) throw error;
    });
  }

  get admission(): Admission {
    return this.#events.admission;
  }

  watch(listener: (event: QueueEvent) => void): () => void {
    return this.#events.watch(listener);
  }

  async close(): Promise<void> {
    this.#announcements?.close();
    this.#router.close();
  }

  async #appendPart(partition: number, entries: readonly AppendEntry[]): Promise<AppendResult[]> {
    const { sinks } = this.#settings;
    const { args, random, apart } = packEntries(entries, this.#random, this.#apartLimits);
    const mark = this.#keys.meta(partition);
    const keys = [this.#keys.streams(partition), mark, ...sinks.map(({ name }) => this.#keys.list(name, partition))];
    let ahead: Command | undefined;
    if (apart.length > 0) {
      const places = sinks.map(({ name }) => this.#keys.frames(name, partition, random.toString('hex')));
      keys.push(...places);
      ahead = ['SET', places[0]!, apart, 'PX', UNLISTED_TTL_MS];
    }
    const call: ReplicatedCall = {
      ahead,
      script: this.#scripts.append,
      keys,
      args: [this.#recorded, ...args, sinks.length],
      mark,
      hasWritten: (reply) => hasAppended(reply as Buffer, entries.length),
    };
    const reply = (await this.#explained(this.#router.runReplicated(call))) as Buffer;
    return unpackResults(reply, entries);
  }

  #run(script: Script, keys: readonly string[], args: readonly Argument[]): Promise<unknown> {
    return this.#explained(this.#router.run(script, keys, args));
  }

  async #explained(call: Promise<unknown>): Promise<unknown> {
    try {
      return await call;
    } catch (error) {
      throw error instanceof SyncError ? this.#explain(error) : error;
    }
  }

  /** Errors that our scripts give carry data instead of a message. */
  #explain(error: SyncError): SyncError {
    const data = error.message.slice(error.message.indexOf(`${String(error.cause)} `) + String(error.cause).length + 1);
    if (error.code === 'queue_mismatch') return settingsMismatch(data, this.#settings);
    if (error.code === 'stream_owned_by_other')
      return new SyncError('stream_owned_by_other', `stream ${data} belongs to another producer; start a new stream`);
    if (error.code === 'newer_format')
      return new SyncError('newer_format', `stream ${data} is recorded in the queue in a form that this version does not know`);
    return error;
  }

  /** Calls `call` with the indexes of keys that one script may have all of, until all had their turn. */
  async #eachTogether(keys: readonly string[], call: (indexes: readonly number[]) => Promise<void>): Promise<void> {
    await Promise.all(this.#router.together(keys).map(call));
  }

  #check(partition: number): void {
    if (!(partition >= 0 && partition < this.partitionCount))
      throw new RangeError(`partition ${partition} does not exist: there are ${this.partitionCount}`);
  }
}

function pick<T>(items: readonly T[], indexes: readonly number[]): T[] {
  return indexes.map((index) => items[index] as T);
}

function* cutEntries(entries: readonly AppendEntry[]): Generator<readonly AppendEntry[]> {
  let start = 0;
  let bytes = 0;
  for (let i = 0; i < entries.length; i++) {
    const length = (entries[i] as AppendEntry).frame.length;
    if (i > start && (i - start >= MAX_CALL_ENTRIES || bytes + length > MAX_CALL_BYTES)) {
      yield entries.slice(start, i);
      start = i;
      bytes = 0;
    }
    bytes += length;
  }
  if (start < entries.length) yield start === 0 ? entries : entries.slice(start);
}

function* chunks<T>(items: readonly T[]): Generator<readonly T[]> {
  for (let i = 0; i < items.length; i += MAX_CALL_ENTRIES) yield items.slice(i, i + MAX_CALL_ENTRIES);
}
