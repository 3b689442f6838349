import type { Lease } from '../core/lease.ts';
import type { Place, StreamId, Verdict } from '../core/stream.ts';

/**
 * The queue: for each partition one ordered list per sink, and for each stream the last place it stored.
 *
 * The list of a partition holds elements, oldest first. `append` judges a frame (`core/stream.ts`), adds it to the list
 * of every sink and records its place, in one atomic step. `trim` removes a prefix by identity, never by count alone.
 * What the queue holds may be rolled back or wiped at any time; the watermark in the sink and the floor rule heal that.
 *
 * Every method rejects with a {@link SyncError} whose kind is `transient` when the queue cannot do it now (away, full,
 * read-only, loading); the outcome is then unknown and the same call may be made again: all of them are idempotent.
 */
export interface Queue extends QueueReader {
  readonly partitionCount: number;

  /**
   * Judges and appends frames of one partition in order, one result each. A `gap`, a `mismatch` or a stream of another
   * producer stores nothing of that frame and does not stop those after it.
   */
  append(partition: number, entries: readonly AppendEntry[]): Promise<AppendResult[]>;

  /**
   * Raises what is recorded for streams to floors read from the sinks, and returns what is recorded then.
   * The higher place wins; at equal seq the floor's crc wins. With {@link START} as the floor this only reads.
   * @throws {SyncError} `stream_owned_by_other` when the record names another producer.
   */
  raise(floors: readonly Floor[]): Promise<Place[]>;

  /** The streams that a partition has records of: their places. */
  streams(partition: number): Promise<Map<StreamId, Place>>;

  /**
   * Removes the first `count` elements of the lease's list if the lease is held and element `count` − 1 is the one with
   * identity `last`; then sets the record of each stream in `resets`, which names it once, to its place where the record is at or above it.
   * Returns false, having done nothing, when the lease is lost or the list begins otherwise. `apart` are those that the
   * removed elements have: without them, what they name stays.
   */
  trim(lease: Lease, count: number, last: Uint8Array, resets: readonly Reset[], apart?: readonly string[]): Promise<boolean>;

  /**
   * For each stream whose record is above its watermark while the list holds none of its elements (it is empty, or its
   * head was pushed after that stream's last push): sets the record back to the watermark, so that the client is asked
   * to send again. Does nothing when the lease is lost. Returns the streams that were set back.
   */
  heal(lease: Lease, watermarks: ReadonlyMap<StreamId, Place>): Promise<StreamId[]>;

  /** Length, bytes and head of every partition's list for `sink`; index = partition. */
  backlog(sink: string): Promise<Backlog[]>;

  /** Forgets the records of streams in a partition; their elements, if any, stay. */
  forget(partition: number, streams: readonly StreamId[]): Promise<void>;

  /**
   * Takes the lease of (sink, partition) for `ttlMs` with the token in `lease`; `holder` names this node.
   * With `take` and `steal`, also from another holder: safe, because the sink is the fence. A node that steals is alone:
   * neither is it told who was before, nor is it remembered. Works when the queue is full.
   */
  acquire(lease: Lease, holder: string, ttlMs: number, how: 'steal' | 'take' | 'wait'): Promise<Acquisition>;
  /** Prolongs leases; index by index, whether it is still held. */
  renew(leases: readonly Lease[], ttlMs: number): Promise<boolean[]>;
  /** Gives leases back if they are still held. */
  release(leases: readonly Lease[]): Promise<void>;

  /**
   * Puts a node on the list of those that are alive, or keeps it there, for `ttlMs`; with 0 it leaves the list. Returns
   * who is on it then. While a node of that name and another incarnation is, nothing is changed. Works when the queue is full.
   */
  keepMember(member: Member, ttlMs: number): Promise<MemberList>;

  /**
   * Tells every node of the installation `message`, this one included, as an event of {@link watch}: soon, or not at all.
   * Nothing is told where nobody else can listen.
   */
  announce(message: string): void;

  /** Whether frames are accepted now. */
  readonly admission: Admission;
  /** Calls `listener` on every change of {@link admission}, after every (re)connection and for what is announced; returns how to stop. */
  watch(listener: (event: QueueEvent) => void): () => void;

  /** Connections that are made later log in with these. Absent where nobody logs in. */
  useAccess?(access: QueueAccess): void;

  close(): Promise<void>;
}

/**
 * What one logs in with: user and password of the URL, whose place stays as it is, certificates as PEM text, and who one is
 * to Sentinels.
 */
export interface QueueAccess {
  readonly url: string;
  readonly sentinel?: { readonly username?: string; readonly password: string };
  readonly tls?: { readonly ca?: string; readonly cert?: string; readonly key?: string; readonly rejectUnauthorized?: boolean };
}

/** The half of a queue that slices use, in worker threads of their own. */
export interface QueueReader {
  /**
   * The first elements of a list, oldest first: at most `limits.elements`, and no more than needed to reach
   * `limits.bytes` (at least one when there is one).
   */
  fetch(sink: string, partition: number, limits: FetchLimits): Promise<Element[]>;
  close(): Promise<void>;
}

export interface FetchLimits {
  readonly elements: number;
  readonly bytes: number;
}

/** What a queue is created with; recorded in it, and compared at every start. */
export interface QueueSettings {
  readonly partitions: number;
  /** Names of all sinks, required ones first, and which are required. */
  readonly sinks: readonly { readonly name: string; readonly required: boolean }[];
  /** Digest of every table's `partitionBy`; empty when none is configured. */
  readonly mapping: string;
}

/** A frame to store. */
export interface AppendEntry {
  readonly stream: StreamId;
  readonly producer: string;
  readonly seq: number;
  readonly prev: number;
  readonly crc: number;
  /**
   * The frame as it was sent, its header included. Of a frame that was refused at the door: its 24-byte header, followed
   * by the msgpack map `{code, message}`; the slice makes it a dead letter.
   */
  readonly frame: Uint8Array;
  readonly kind: ElementKind;
  /** Bytes that are counted for it while it waits, where those are not the ones of `frame`: what was refused may have come with others. */
  readonly chargedBytes?: number;
}

export type ElementKind = 'frame' | 'refusal';

export interface AppendResult {
  readonly verdict: Verdict | 'owned_by_other';
  /** What is recorded for the stream after this frame. */
  readonly stored: Place;
}

export interface Floor {
  readonly partition: number;
  readonly stream: StreamId;
  readonly producer: string;
  readonly place: Place;
}

export interface Reset {
  readonly stream: StreamId;
  readonly place: Place;
}

/**
 * What came of asking for a lease: taken, and who held it before without giving it back, if that was another holder; or
 * the holder in the way, and for how long it will be there unless it renews its lease.
 */
export type Acquisition =
  | { readonly taken: true; readonly before: string | undefined }
  | { readonly taken: false; readonly holder: string; readonly leftMs: number };

/** A node of the installation, as it is listed in the queue. */
export interface Member {
  readonly name: string;
  /** Random, new at each start of the node: no blanks. */
  readonly incarnation: string;
  /** What it tells the others about itself. */
  readonly about: string;
}

export interface ListedMember extends Member {
  /** Since it came onto the list. */
  readonly ageMs: number;
  /** How long it stays there unless it renews its record. */
  readonly leftMs: number;
}

export interface MemberList {
  /** The queue's clock, ms since the epoch. */
  readonly nowMs: number;
  /** Whether the node that asked was on the list before. */
  readonly wasListed: boolean;
  readonly members: readonly ListedMember[];
}

/** What lies in a list; encoded as `element.ts` says. */
export interface Element {
  /** Unique to one push: store time, ordinal and 8 random bytes. */
  readonly identity: Uint8Array;
  /** The queue's clock at the push, µs since the epoch; never below the partition's previous push. */
  readonly storedAtUs: number;
  /** Place of the push in its partition: 1, 2, 3, … */
  readonly ordinal: number;
  /** `damaged`: its bytes are not those that were stored. It has an identity, so that it can be trimmed; all else is empty or 0. */
  readonly kind: ElementKind | 'damaged';
  readonly stream: StreamId;
  readonly producer: string;
  readonly frame: Uint8Array;
  /** Names what the queue keeps apart for this element and others beside it: for {@link Queue.trim}. */
  readonly apart?: string;
}

export interface Backlog {
  readonly count: number;
  /** Bytes of the elements; approximate after a roll-back of the queue. */
  readonly bytes: number;
  /** Store time of the head, 0 when the head is damaged; undefined when the list is empty. */
  readonly headStoredAtUs: number | undefined;
}

/** `open`, or held back with a reason for people: full, away, read-only, evicting. */
export type Admission = { readonly state: 'open' } | { readonly state: 'held'; readonly reason: string };

export type QueueEvent =
  | { readonly type: 'connected' }
  | { readonly type: 'admission'; readonly admission: Admission }
  | { readonly type: 'announced'; readonly message: string }
  /** What is announced is heard from now on; before, something may have been missed. */
  | { readonly type: 'listening' };
