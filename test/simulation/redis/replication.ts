import type { Clock, Timer } from '../../../src/core/clock.ts';
import type { SeededRandom } from '../../support/seeded-random.ts';
import type { Host } from '../world/host.ts';
import type { Network } from '../world/network.ts';
import { Backlog } from './backlog.ts';
import { changeBytes, copyBytes, type Change, type StreamMessage, type Unit } from './changes.ts';
import type { Channels, Client } from './channels.ts';
import { parseInteger } from './commands.ts';
import type { EngineSettings } from './engine.ts';
import { ErrorReply, LATER, NO_REPLY, OK, StatusReply, type Reply } from './replies.ts';
import type { Store } from './store.ts';
import { Upstream, type Address } from './upstream.ts';

export interface ReplicationParts {
  readonly host: Host;
  readonly network: Network;
  readonly random: SeededRandom;
  readonly store: Store;
  readonly channels: Channels;
  readonly settings: EngineSettings;
  clock(): Clock;
  /** What was made again is written, as what a client asked for. */
  commit(): void;
}

/** A server that copies this one, as this one sees it. */
interface Replica {
  readonly client: Client;
  readonly port: number;
  /** While it copies everything it counts as none. */
  isOnline: boolean;
  offset: number;
  ackedMs: number;
}

/** A WAIT that has not enough replicas yet. */
interface Waiter {
  readonly offset: number;
  readonly count: number;
  readonly timer: Timer | undefined;
}

const PORT = 6379;
/** How often replicas hear from a primary that has nothing to tell: `repl-ping-replica-period`. */
const PING_MS = 10_000;
/** How long a replica may be silent: `repl-timeout`. */
const SILENCE_MS = 60_000;
const NO_REPLID = '0'.repeat(40);
const UNBLOCKED = 'UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)';
const NO_WAIT =
  'ERR WAIT cannot be used with replica instances. Please also note that since Redis 4.0 if a replica is configured to be ' +
  'writable (which is not the default) writes to replicas are just local and are not propagated.';

/**
 * The part of a server that hands what is written on to others, or takes it from another. What a replica has not received
 * when it is promoted is lost, and what another server wrote that then follows it, too.
 */
export class Replication {
  readonly #parts: ReplicationParts;
  #replid = '';
  /** Whose stream this server followed before it was promoted, and how far. */
  #former: { readonly replid: string; readonly offset: number } | undefined;
  #offset = 0;
  /** There is none before the first replica, and nothing is counted. */
  #backlog: Backlog | undefined;
  #changes: Change[] = [];
  readonly #replicas = new Map<Client, Replica>();
  readonly #waiters = new Map<Client, Waiter>();
  /** The offset behind the last command of a connection. */
  readonly #offsets = new Map<Client, number>();
  #upstream: Upstream | undefined;
  /** The primary that is configured, also for the next process. */
  #primary: Address | undefined;
  #pingTimer: Timer | undefined;

  constructor(parts: ReplicationParts) {
    this.#parts = parts;
  }

  /** Whom this server follows, if it was told to follow anybody. */
  get primary(): Address | undefined {
    return this.#primary;
  }

  /** How much of its stream it has. */
  get offset(): number {
    return this.#offset;
  }

  get isLinkDown(): boolean {
    return this.#parts.settings.role === 'replica' && this.#upstream?.isConnected !== true;
  }

  isReplica(client: Client): boolean {
    return this.#replicas.has(client);
  }

  /** A process begins, or what it has is another's: it is part of no stream that anybody follows. */
  start(replid: string): void {
    this.#upstream?.close();
    this.#pingTimer?.cancel();
    for (const { timer } of this.#waiters.values()) timer?.cancel();
    this.ended();
    this.#replid = replid;
    this.#former = undefined;
    this.#offset = 0;
    if (this.#primary !== undefined) this.#follow(this.#primary);
  }

  /** The process is gone, and with it its connections and timers. */
  ended(): void {
    this.#upstream = undefined;
    this.#pingTimer = undefined;
    this.#backlog = undefined;
    this.#changes = [];
    this.#replicas.clear();
    this.#waiters.clear();
    this.#parts.store.onChange = undefined;
    this.#parts.store.expiry = 'removes';
  }

  /** Sends on what was written since the last time. */
  flush(): void {
    if (this.#changes.length === 0) return;
    const changes = this.#changes;
    this.#changes = [];
    // What a replica changes by itself is nobody's stream.
    if (this.#primary === undefined) this.#feed({ changes, messages: [] });
  }

  published(channel: string, message: string): void {
    if (this.#backlog !== undefined && this.#primary === undefined) this.#feed({ changes: [], messages: [[channel, message]] });
  }

  /** A command of the connection has run. */
  executed(client: Client): void {
    this.#offsets.set(client, this.#offset);
  }

  /** The connection has ended. */
  drop(client: Client): void {
    this.#offsets.delete(client);
    this.#replicas.delete(client);
    this.#waiters.get(client)?.timer?.cancel();
    this.#waiters.delete(client);
  }

  /** Replicas that are online and were heard of not longer ago than writes may wait for. */
  goodReplicas(): number {
    const { settings } = this.#parts;
    const second = (ms: number) => Math.floor(ms / 1000);
    const isGood = ({ isOnline, ackedMs }: Replica) => isOnline && second(this.#nowMs) - second(ackedMs) <= settings.maxReplicaLagS;
    return [...this.#replicas.values()].filter(isGood).length;
  }

  // Commands

  replicaOf([, host, port]: readonly string[]): Reply {
    if (host!.toUpperCase() === 'NO' && port!.toUpperCase() === 'ONE') {
      if (this.#primary !== undefined) this.#promote();
      return OK;
    }
    const primary = { host: host!, port: Number(port) };
    if (this.#primary?.host === primary.host && this.#primary.port === primary.port)
      return new StatusReply('OK Already connected to specified master');
    this.#dropReplicas();
    for (const [client, { timer }] of this.#waiters) {
      timer?.cancel();
      client.answer(new ErrorReply(UNBLOCKED), 'and end');
    }
    this.#waiters.clear();
    this.#upstream?.close();
    this.#follow(primary);
    return OK;
  }

  wait([, count, timeout]: readonly string[], client: Client): Reply {
    if (this.#parts.settings.role === 'replica') throw new ErrorReply(NO_WAIT);
    const [wanted, timeoutMs] = [parseInteger(count!), parseTimeout(timeout!)];
    const offset = this.#offsets.get(client) ?? 0;
    const acked = this.#ackedBy(offset);
    if (acked >= wanted) return acked;
    const end = () => {
      this.#waiters.delete(client);
      client.answer(this.#ackedBy(offset));
    };
    this.#waiters.set(client, { offset, count: wanted, timer: timeoutMs > 0 ? this.#parts.clock().setTimer(timeoutMs, end) : undefined });
    // When all that has arrived is done, once for all who wait.
    this.#parts.clock().defer(() => this.#askForAcks());
    return LATER;
  }

  role(): Reply {
    if (this.#parts.settings.role === 'master') {
      const replicas = [...this.#replicas.values()].filter(({ isOnline }) => isOnline);
      return ['master', this.#offset, replicas.map(({ client, port, offset }) => [client.peer, String(port), String(offset)])];
    }
    const { host, port } = this.#primary ?? { host: '', port: 0 };
    const isConnected = this.#upstream?.isConnected === true;
    return ['slave', host, port, this.#upstream?.state ?? 'connect', isConnected ? this.#offset : -1];
  }

  info(): string[] {
    const { minReplicas, role } = this.#parts.settings;
    const upstream = [
      `master_host:${this.#primary?.host ?? ''}`,
      `master_port:${this.#primary?.port ?? 0}`,
      `master_link_status:${this.isLinkDown ? 'down' : 'up'}`,
      `slave_repl_offset:${this.#offset}`,
      'slave_read_only:1',
    ];
    const lagOf = ({ ackedMs }: Replica) => Math.floor((this.#nowMs - ackedMs) / 1000);
    return [
      `role:${role === 'replica' ? 'slave' : 'master'}`,
      ...(role === 'replica' ? upstream : []),
      `connected_slaves:${this.#replicas.size}`,
      ...(minReplicas > 0 && role === 'master' ? [`min_slaves_good_slaves:${this.goodReplicas()}`] : []),
      ...[...this.#replicas.values()].map((replica, i) => {
        const { client, port, isOnline, offset } = replica;
        const state = isOnline ? 'online' : 'wait_bgsave';
        return `slave${i}:ip=${client.peer},port=${port},state=${state},offset=${offset},lag=${lagOf(replica)}`;
      }),
      `master_replid:${this.#replid}`,
      `master_replid2:${this.#former?.replid ?? NO_REPLID}`,
      `master_repl_offset:${this.#offset}`,
      `second_repl_offset:${this.#former === undefined ? -1 : this.#former.offset + 1}`,
      `repl_backlog_size:${this.#parts.settings.backlogBytes}`,
    ];
  }

  /** A replica asks for what comes at `offset` of a stream, or for everything. */
  sync([, replid, from, port]: readonly string[], client: Client): Reply {
    if (this.isLinkDown) throw new ErrorReply("NOMASTERLINK Can't SYNC while not connected with my master");
    const offset = Number(from) - 1;
    const isKnown = replid === this.#replid || (replid === this.#former?.replid && offset <= this.#former!.offset);
    const missed = isKnown ? this.#backlog?.after(offset) : undefined;
    this.#beginStream();
    this.#replicas.set(client, { client, port: Number(port ?? PORT), isOnline: missed !== undefined, offset: 0, ackedMs: this.#nowMs });
    if (missed === undefined) {
      const copy = this.#parts.store.copy();
      transmit(client, { kind: 'full', replid: this.#replid, offset: this.#offset, copy }, copyBytes(copy));
    } else {
      transmit(client, { kind: 'continue', replid: this.#replid }, 64);
      for (const unit of missed) transmit(client, { kind: 'unit', ...unit }, changeBytes(unit.changes));
    }
    return NO_REPLY;
  }

  /** A replica tells how far it is. */
  acknowledged([, what, offset]: readonly string[], client: Client): Reply {
    const replica = this.#replicas.get(client);
    if (what!.toUpperCase() !== 'ACK' || replica === undefined) throw new ErrorReply('ERR Unrecognized REPLCONF option');
    replica.offset = Math.max(replica.offset, Number(offset));
    replica.ackedMs = this.#nowMs;
    replica.isOnline = true;
    for (const [waiting, { offset: wanted, count, timer }] of this.#waiters) {
      const acked = this.#ackedBy(wanted);
      if (acked < count) continue;
      timer?.cancel();
      this.#waiters.delete(waiting);
      waiting.answer(acked);
    }
    return NO_REPLY;
  }

  // As a primary

  #beginStream(): void {
    this.#backlog ??= new Backlog(this.#parts.settings.backlogBytes, this.#offset);
    this.#parts.store.onChange = (change) => void this.#changes.push(change);
    if (this.#pingTimer === undefined) this.#ping();
  }

  #feed(unit: Omit<Unit, 'to'>): void {
    const bytes = changeBytes(unit.changes);
    this.#offset += bytes + unit.messages.flat().join().length;
    this.#pass({ ...unit, to: this.#offset }, bytes);
  }

  #pass(unit: Unit, bytes: number): void {
    this.#backlog?.add(unit);
    for (const client of this.#replicas.keys()) transmit(client, { kind: 'unit', ...unit }, bytes);
  }

  #askForAcks(): void {
    if (this.#backlog === undefined || this.#waiters.size === 0 || this.#primary !== undefined) return;
    this.#offset += 37;
    this.#backlog?.add({ changes: [], messages: [], to: this.#offset });
    for (const client of this.#replicas.keys()) transmit(client, { kind: 'get ack', to: this.#offset }, 37);
  }

  #ackedBy(offset: number): number {
    return [...this.#replicas.values()].filter((replica) => replica.isOnline && replica.offset >= offset).length;
  }

  #ping(): void {
    this.#pingTimer = this.#parts.clock().setTimer(PING_MS, () => {
      this.#ping();
      for (const { client, ackedMs } of [...this.#replicas.values()]) if (this.#nowMs - ackedMs > SILENCE_MS) client.break();
      if (this.#primary === undefined && this.#replicas.size > 0) this.#feed({ changes: [], messages: [] });
    });
  }

  #dropReplicas(): void {
    for (const client of [...this.#replicas.keys()]) client.break();
    this.#replicas.clear();
  }

  // As a replica

  #follow(primary: Address): void {
    const { host, network, settings, store } = this.#parts;
    this.#primary = primary;
    settings.role = 'replica';
    store.expiry = 'hides';
    this.#beginStream();
    this.#upstream = new Upstream(primary, {
      host,
      network,
      clock: this.#parts.clock(),
      port: PORT,
      position: () => ({ replid: this.#replid, offset: this.#offset }),
      received: (message) => this.#received(message),
      lost: () => {},
    });
  }

  #received(message: StreamMessage): void {
    const { store, channels } = this.#parts;
    if (message.kind === 'full') {
      store.load(message.copy);
      [this.#replid, this.#offset, this.#former] = [message.replid, message.offset, undefined];
      // What they have is part of another stream.
      this.#dropReplicas();
      this.#backlog = new Backlog(this.#parts.settings.backlogBytes, this.#offset);
    } else if (message.kind === 'continue') {
      if (message.replid === this.#replid) return;
      this.#former = { replid: this.#replid, offset: this.#offset };
      this.#replid = message.replid;
      this.#dropReplicas();
    } else if (message.kind === 'get ack') {
      this.#offset = message.to;
      this.#backlog?.add({ changes: [], messages: [], to: message.to });
    } else {
      store.expiry = 'ignored';
      for (const change of message.changes) store.apply(change);
      store.expiry = 'hides';
      this.#parts.commit();
      for (const [channel, text] of message.messages) channels.publish(channel, text);
      this.#offset = message.to;
      this.#pass({ changes: message.changes, messages: message.messages, to: message.to }, changeBytes(message.changes));
    }
  }

  #promote(): void {
    const { settings, store, random } = this.#parts;
    this.#upstream?.close();
    this.#upstream = undefined;
    this.#primary = undefined;
    settings.role = 'master';
    store.expiry = 'removes';
    this.#former = { replid: this.#replid, offset: this.#offset };
    this.#replid = Array.from({ length: 40 }, () => random.below(16).toString(16)).join('');
    // They ask again, and learn whose stream it is now.
    this.#dropReplicas();
  }

  get #nowMs(): number {
    return this.#parts.clock().monotonicMs();
  }
}

function parseTimeout(text: string): number {
  if (!/^-?\d{1,15}$/.test(text)) throw new ErrorReply('ERR timeout is not an integer or out of range');
  if (text.startsWith('-')) throw new ErrorReply('ERR timeout is negative');
  return Number(text);
}

function transmit(client: Client, message: StreamMessage, bytes: number): void {
  client.transmit(message, bytes);
}
