import { decodeElement, apartOf, type ListedElement } from '../../../src/queue/element.ts';
import type { SeededRandom } from '../../support/seeded-random.ts';
import type { Client } from '../redis/channels.ts';
import type { Reply } from '../redis/replies.ts';
import { type Death, SimRedis, type SimRedisOptions } from '../redis/server.ts';
import type { EvictionPolicy } from '../redis/store.ts';
import type { Host } from '../world/host.ts';
import type { Network } from '../world/network.ts';
import type { SinkWatch } from './sink-watch.ts';

/** What a node may wait for at most until a lease ends; one that lasts longer is of a time when the clock went otherwise. */
const MAX_LEASE_MS = 60_000;
const LEASE = /\{(\d+)\}:lease:/;
const LIST = /^(.*\{(\d+)\}):list:/;
const SEQ_IN_FRAME = 8;
const FRAMES = /:frames:[^:]*:([0-9a-f]{16})$/;

/** A key that is looked at: of a lease, or of a list and where its partition's other keys begin. */
type Place =
  | { readonly kind: 'lease'; readonly partition: number }
  | { readonly kind: 'list'; readonly partition: number; readonly prefix: string };

/** Where the lease of a partition is recorded. */
export function leaseKey(partition: number): string {
  return `syncline:{${partition}}:lease:main`;
}

/**
 * A Redis that is watched: no element leaves a list before the database has it, unless the record of its stream says that
 * the client is to send it again.
 */
export class WatchedRedis extends SimRedis {
  /** Counts what happened to this server that may have cost it data. */
  upsets = 0;
  /** Counts what was changed in what it holds, and how often it was allowed to drop keys as it liked. */
  damages = 0;
  /** How many keys with large frames may have lost the elements that name them. */
  strays = 0;
  /** Told when it has started, was emptied or set back, or begins to drop keys, before anybody reaches it. */
  onUpset: (() => void) | undefined;
  /** Told when somebody takes a lease that lasts from somebody else; both as they are recorded. */
  onLeaseTaken: ((partition: number, before: string, after: string) => void) | undefined;
  /** Told of everything that came over a connection. */
  onAnswered: ((client: Client, args: readonly string[], reply: Reply) => void) | undefined;
  /** Then a lease may be gone the moment after, or before, somebody takes it. */
  evicts = false;
  readonly #places = new Map<string, Place | undefined>();
  readonly #sink: SinkWatch;
  readonly #fault: (message: string) => void;

  constructor(
    host: Host,
    network: Network,
    random: SeededRandom,
    options: SimRedisOptions,
    sink: SinkWatch,
    fault: (message: string) => void,
  ) {
    super(host, network, random, options);
    this.#sink = sink;
    this.#fault = fault;
  }

  override boot(loadingMs = 0): void {
    this.upsets++;
    super.boot(loadingMs);
    this.onUpset?.();
  }

  override kill(how: Death): void {
    this.upsets++;
    super.kill(how);
  }

  override flushAll(): void {
    this.upsets++;
    super.flushAll();
    this.onUpset?.();
  }

  override rollBack(writes: number): number {
    this.upsets++;
    const lost = super.rollBack(writes);
    this.onUpset?.();
    return lost;
  }

  override setPolicy(policy: EvictionPolicy): void {
    this.evicts = policy !== 'noeviction';
    if (this.evicts) this.damages++;
    super.setPolicy(policy);
    if (this.evicts) this.onUpset?.();
  }

  override execute(args: readonly string[], client?: Client): Reply {
    const reply = this.#executeWatched(args, client);
    if (client !== undefined) this.onAnswered?.(client, args, reply);
    return reply;
  }

  #executeWatched(args: readonly string[], client: Client | undefined): Reply {
    // A key that comes from another master is not on the replicas of this one yet.
    if ((args[0] === 'DEL' && client === undefined) || args[0] === 'RESTORE-ASKING') this.upsets++;
    if (args[0] === 'DEL' && client === undefined) this.strays += this.#framesNamedBy(args[1]!);
    const isScript = args[0] === 'EVALSHA' || /^EVAL/i.test(args[0] ?? '');
    const place = isScript ? this.#placeOf(args[3] ?? '') : undefined;
    if (place?.kind === 'lease' && this.onLeaseTaken !== undefined) return this.#executeOnLease(place.partition, args, client);
    if (place?.kind !== 'list') return super.execute(args, client);
    const list = args[3]!;
    const before = this.store.listAt(list);
    const frames = this.#framesIn(args);
    const reply = super.execute(args, client);
    const after = this.store.lengthAt(list);
    if (after < before.length) this.#look(place, before.slice(0, before.length - after), frames);
    return reply;
  }

  /** What the first key of a script is about; they are few, and come again and again. */
  #placeOf(key: string): Place | undefined {
    let place = this.#places.get(key);
    if (place === undefined && !this.#places.has(key)) this.#places.set(key, (place = readPlace(key)));
    return place;
  }

  /** `token holder`, where the lease lasts. */
  leaseOf(partition: number): string | undefined {
    if (!this.isServing) return undefined;
    const key = leaseKey(partition);
    const leftMs = (this.store.expiryOf(key) ?? 0) - this.store.wallMs;
    return leftMs > 0 && leftMs <= MAX_LEASE_MS ? this.store.getString(key) : undefined;
  }

  #executeOnLease(partition: number, args: readonly string[], client: Client | undefined): Reply {
    const before = this.leaseOf(partition);
    const reply = super.execute(args, client);
    const after = this.leaseOf(partition);
    if (before !== undefined && after !== undefined && before !== after && !this.evicts) this.onLeaseTaken?.(partition, before, after);
    return reply;
  }

  /** How many keys with large frames the elements of a list name. */
  #framesNamedBy(list: string): number {
    const elements = this.store.listAt(list).map((element) => decodeElement(Buffer.from(element, 'latin1')));
    return new Set(elements.map(({ identity }) => apartOf(identity))).size;
  }

  /** What is kept apart at the keys of a script, by the random bytes of its elements: it may leave with them. */
  #framesIn(args: readonly string[]): Map<string, string> {
    const frames = new Map<string, string>();
    for (const key of args) {
      const random = FRAMES.exec(key)?.[1];
      if (random !== undefined) frames.set(random, this.store.stringAt(key) ?? '');
    }
    return frames;
  }

  #look({ prefix, partition }: Place & { kind: 'list' }, removed: readonly string[], frames: ReadonlyMap<string, string>): void {
    for (const bytes of removed) {
      const element = decodeElement(Buffer.from(bytes, 'latin1'));
      const { stream } = element;
      const seq = seqOf(element, frames);
      // It does not say whose or which it is; the record of its stream is set back when it has left.
      if (seq === undefined || seq <= this.#sink.everApplied(stream, partition)) continue;
      const record = super.execute(['HGET', `${prefix}:streams`, stream]);
      const stored = record === null ? 0 : Number(String(record).split(' ')[0]);
      if (stored >= seq) this.#fault(`${stream} ${partition} ${seq} left the queue before it was applied, and counts as stored`);
    }
  }
}

/** Undefined when the element or its frame is not there as it was stored. */
function seqOf(element: ListedElement, frames: ReadonlyMap<string, string>): number | undefined {
  if (element.kind === 'damaged') return undefined;
  if (element.kind !== 'apart') return Number(readU64(element.frame, SEQ_IN_FRAME));
  const at = element.place.offset + SEQ_IN_FRAME;
  const bytes = frames.get(apartOf(element.identity)!)?.slice(at, at + 8) ?? '';
  return bytes.length < 8 ? undefined : Number(readU64(Buffer.from(bytes, 'latin1'), 0));
}

function readU64({ buffer, byteOffset }: Uint8Array, at: number): bigint {
  return new DataView(buffer, byteOffset).getBigUint64(at);
}

function readPlace(key: string): Place | undefined {
  const lease = LEASE.exec(key);
  if (lease !== null) return { kind: 'lease', partition: Number(lease[1]) };
  const list = LIST.exec(key);
  return list === null ? undefined : { kind: 'list', partition: Number(list[2]), prefix: list[1]! };
}
