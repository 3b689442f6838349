import type { FaultName } from './faults.ts';
import { bitOf, type Place, START } from './place.ts';
import type { Rules } from './rules.ts';

/** What is explored. */
export interface Model {
  readonly rules: Rules;
  readonly clients: number;
  /** Each client makes as many. */
  readonly batches: number;
  readonly nodes: number;
  /** All are required. */
  readonly sinks: number;
  /** How many faults may strike. */
  readonly faults: number;
  readonly kinds: ReadonlySet<FaultName>;
}

/** One state of everything. All of it is immutable; a step shares what it does not change with the state before. */
export interface World {
  readonly clients: readonly Client[];
  /** By client. */
  readonly links: readonly Link[];
  readonly queue: Queue;
  /** The state of Redis at which its replica stays behind, once one does. */
  readonly replica: Queue | null;
  /** By node and sink: see {@link applierIndex}. */
  readonly appliers: readonly Applier[];
  readonly sinks: readonly Sink[];
  readonly ledger: Ledger;
}

export interface Client {
  /** In the spool: stream, the highest place assigned, and up to which seq it is applied and forgotten. */
  readonly stream: number;
  readonly assigned: Place;
  readonly applied: number;
  /** Frames at the end that are not durable yet: without the rule `durableFirst` only. */
  readonly unsure: number;
  /** `stopped`: it was told of an incident. */
  readonly phase: 'away' | 'greeting' | 'open' | 'stopped';
  readonly diverged: boolean;
  /** On this connection. */
  readonly sent: number;
  readonly heardStored: number;
  readonly heardApplied: number;
}

/** What lies between a client and the nodes. */
export interface Link {
  readonly live: Connection | null;
  /** A connection that the client gave up, from which a node may still receive what was sent. */
  readonly stale: StaleConnection | null;
}

export interface StaleConnection {
  readonly node: number;
  readonly stream: number;
  /** HELLO has not arrived yet. */
  readonly hello: boolean;
  readonly up: readonly Place[];
}

export type MessageType = 'WELCOME' | 'STORED' | 'APPLIED' | 'REWIND' | 'REJECTED' | 'mismatch' | 'regressed' | 'taken over';
/** With the place that it names; REWIND with the seq. The last three are codes of ERROR. */
export type Message = readonly [MessageType, number];

/** A connection with the node's session at its end. */
export interface Connection {
  readonly node: number;
  readonly stream: number;
  /** `opening`: HELLO arrived, WELCOME is due. `closed`: ERROR was sent. */
  readonly phase: 'hello' | 'opening' | 'open' | 'closed';
  readonly up: readonly Place[];
  readonly down: readonly Message[];
  /** Up to where the client holds nothing, by its HELLO. */
  readonly forgotten: number;
  /** What was told, or is due. */
  readonly stored: Place;
  readonly applied: Place;
  readonly storedDue: boolean;
  readonly appliedDue: boolean;
  /** Seq; 0 when none. */
  readonly rewindDue: number;
  readonly rejectedDue: readonly Place[];
  /** Seq that a REWIND asked for and has not arrived; the highest that was thrown away for a gap. 0 when none. */
  readonly awaited: number;
  readonly thrownAway: number;
  readonly look: Look;
  /** News came after the sinks were read: look once more. */
  readonly lookAgain: boolean;
}

/**
 * How far reading afresh is: first the sinks, then the queue.
 * - `letters`: without the rule `watermarkFirst`, dead letters were read.
 * - `read`: the sinks were read.
 */
export interface Look {
  readonly phase: 'no' | 'due' | 'letters' | 'read';
  readonly watermark: Place;
  readonly rejected: readonly Place[];
  /** Seq that had been told as STORED when the look began. */
  readonly storedBefore: number;
}

/** What lies in a list. The identity is what the random bytes are for: no two elements that can be compared share it. */
export interface Element {
  readonly stream: number;
  readonly frame: Place;
  readonly ordinal: number;
  readonly identity: number;
}

/** One partition in Redis. */
export interface Queue {
  /** By sink. */
  readonly lists: readonly (readonly Element[])[];
  /** By stream. */
  readonly records: readonly QueueRecord[];
  /** By sink: the token of the lease, 0 when nobody has it. */
  readonly leases: readonly number[];
}

export interface QueueRecord {
  readonly place: Place;
  readonly ordinal: number;
}

/** What one node does for one sink. */
export interface Applier {
  /** The token it believes to hold; 0 when none. */
  readonly lease: number;
  readonly heal: 'no' | 'due' | readonly StreamPlace[];
  readonly slice: Slice | null;
}

export interface StreamPlace {
  readonly stream: number;
  readonly place: Place;
}

export interface Slice {
  /**
   * - `fetched`: the elements were read.
   * - `planned`: without the rule `lock`, the watermarks were read as well.
   * - `half`: without `oneCommit` or `lettersWithWatermark`, one of two commits is done.
   * - `committed`; `reported`: sessions were told, the trim is due.
   */
  readonly phase: 'fetched' | 'planned' | 'half' | 'committed' | 'reported';
  readonly elements: readonly Element[];
  readonly plan: Plan | null;
}

export interface Plan {
  readonly accepted: readonly Element[];
  readonly moves: readonly { readonly stream: number; readonly before: Place; readonly after: Place }[];
  /** Streams with a gap, and their watermark. */
  readonly resets: readonly StreamPlace[];
}

/** What a sink committed, in order: everything else about it follows from that. */
export interface Sink {
  readonly log: readonly Entry[];
}

export interface Entry {
  readonly stream: number;
  readonly place: Place;
  /** `batch` and `letter` move the watermark as well; the others come of rules that are out. */
  readonly kind: 'batch' | 'letter' | 'watermark' | 'batch alone' | 'letter alone';
}

/** What no actor knows: kept for the properties. Sets of batches are bit masks. */
export interface Ledger {
  readonly faults: number;
  readonly streams: number;
  readonly made: number;
  /** Lost with a client's disk: nobody owes them any more. */
  readonly lost: number;
  /** Held by a restored spool although applied: may be applied once more, as documented. */
  readonly again: number;
  /** Lost with a sink's older state, and forgotten by the client: the incident is about them. */
  readonly undone: number;
  /** The client was told REJECTED. */
  readonly heard: number;
  /** Never durable: whoever wrote them was told nothing, and writes them again. */
  readonly unpromised: number;
}

export const NO_LOOK: Look = { phase: 'no', watermark: START, rejected: [], storedBefore: 0 };
/** A session that has read nothing and owes nothing. */
export const BLANK_SESSION = {
  up: [],
  stored: START,
  storedDue: false,
  appliedDue: false,
  rewindDue: 0,
  rejectedDue: [],
  awaited: 0,
  thrownAway: 0,
  look: NO_LOOK,
  lookAgain: false,
} as const satisfies Partial<Connection>;
export const IDLE_APPLIER: Applier = { lease: 0, heal: 'no', slice: null };

export function startOf(model: Model): World {
  const clients = Array.from({ length: model.clients }, (_, stream) => newClient(stream));
  return {
    clients,
    links: clients.map(() => ({ live: null, stale: null })),
    queue: emptyQueue(model),
    replica: null,
    appliers: Array.from({ length: model.nodes * model.sinks }, () => IDLE_APPLIER),
    sinks: Array.from({ length: model.sinks }, () => ({ log: [] })),
    ledger: { faults: 0, streams: model.clients, made: 0, lost: 0, again: 0, undone: 0, heard: 0, unpromised: 0 },
  };
}

export function newClient(stream: number): Client {
  return { stream, assigned: START, applied: 0, unsure: 0, phase: 'away', diverged: false, sent: 0, heardStored: 0, heardApplied: 0 };
}

export function emptyQueue(model: Model): Queue {
  const bySink = Array.from({ length: model.sinks });
  return { lists: bySink.map(() => []), records: [], leases: bySink.map(() => 0) };
}

export function applierIndex(model: Model, node: number, sink: number): number {
  return node * model.sinks + sink;
}

/** Which client makes this batch. */
export function writerOf(model: Model, batch: number): number {
  return Math.floor((batch - 1) / model.batches);
}

/** All batches of a client. */
export function batchesOf(model: Model, client: number): number {
  let mask = 0;
  for (let i = 1; i <= model.batches; i++) mask |= bitOf(client * model.batches + i);
  return mask;
}

export function withClient(world: World, client: number, value: Client): World {
  return { ...world, clients: world.clients.with(client, value) };
}

export function withLink(world: World, client: number, value: Partial<Link>): World {
  return { ...world, links: world.links.with(client, { ...world.links[client]!, ...value }) };
}

export function withApplier(world: World, index: number, value: Partial<Applier>): World {
  return { ...world, appliers: world.appliers.with(index, { ...world.appliers[index]!, ...value }) };
}

export function withLedger(world: World, value: Partial<Ledger>): World {
  return { ...world, ledger: { ...world.ledger, ...value } };
}

/** The smallest number from 1 that is not among `used`: for what is only ever compared for equality. */
export function unused(used: Iterable<number>): number {
  const taken = new Set(used);
  let value = 1;
  while (taken.has(value)) value++;
  return value;
}
