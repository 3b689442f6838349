import type { Clock } from '../../../../src/core/clock.ts';
import type { SeededRandom } from '../../../support/seeded-random.ts';
import type { Host } from '../../world/host.ts';
import type { Network } from '../../world/network.ts';
import type { Channels } from '../channels.ts';
import type { Replication } from '../replication.ts';
import type { Store } from '../store.ts';
import { BusLink, listenOnBus } from './bus.ts';
import { Election } from './election.ts';
import { Health } from './health.ts';
import type { Body, BusMessage, Header } from './messages.ts';
import { ReplicaMigration } from './replica-migration.ts';
import { slotOfKey } from './slots.ts';
import { Topology, type KnownNode, type Seat } from './topology.ts';

/** What every node of a cluster is told. */
export interface ClusterOptions {
  /** All nodes at the start. */
  readonly seats: readonly Seat[];
  /** After which silence a node counts as away. */
  readonly nodeTimeoutMs: number;
  /** Whether all slots must be served for any to be. */
  readonly requiresFullCoverage: boolean;
}

export interface MemberParts {
  readonly host: Host;
  readonly network: Network;
  readonly random: SeededRandom;
  readonly store: Store;
  readonly channels: Channels;
  readonly replication: Replication;
  readonly options: ClusterOptions;
  /** What was written by the cluster itself is written. */
  commit(): void;
  /** Whether the process is busy, and reads nothing. */
  isBusy(): boolean;
}

const TICK_MS = 100;
const PING_MS = 1_000;

/**
 * What makes a server a node of a Redis Cluster 7.0: it talks to the other nodes over a bus of their own, judges which of
 * them work, follows whoever has the slots with the highest epoch, and takes the place of its master when that fails.
 *
 * Where it knowingly differs: the nodes know each other from the start, and each tells in every message about all the
 * others; nobody fails over by hand.
 */
export class ClusterMember {
  readonly topology: Topology;
  readonly options: ClusterOptions;
  readonly #parts: MemberParts;
  readonly #links = new Map<KnownNode, BusLink>();
  /** What arrived while the process was busy. */
  #unread: (() => void)[] = [];
  #clock: Clock | undefined;
  #health: Health | undefined;
  #election: Election | undefined;
  #migration: ReplicaMigration | undefined;
  #pingedMs = 0;
  #apartSinceMs: number | undefined;

  constructor(parts: MemberParts) {
    this.#parts = parts;
    this.options = parts.options;
    this.topology = new Topology(parts.host.name, parts.options.seats);
  }

  /** Refuses commands on keys. */
  get isDown(): boolean {
    return this.#health?.isDown !== false;
  }

  get isMaster(): boolean {
    return this.topology.self.master === undefined;
  }

  /** A process begins. */
  start(clock: Clock): void {
    const { host, network, random, options } = this.#parts;
    const { topology } = this;
    const { nodeTimeoutMs: timeoutMs, requiresFullCoverage } = options;
    const nowMs = () => clock.monotonicMs();
    this.#clock = clock;
    this.#links.clear();
    this.#unread = [];
    this.#pingedMs = 0;
    this.#apartSinceMs = undefined;
    for (const node of topology.nodes) {
      node.reports.clear();
      Object.assign(node, { pingSentMs: 0, pongMs: 0, heardMs: 0, votedMs: -Infinity, failedMs: 0 });
      if (node.health === 'pfail') node.health = 'ok';
    }
    const announceFailure = ({ id }: KnownNode) => this.#broadcast({ kind: 'fail', id });
    this.#health = new Health({ topology, timeoutMs, requiresFullCoverage, nowMs, announceFailure });
    this.#election = new Election({
      topology,
      timeoutMs,
      random,
      nowMs,
      apartSinceMs: () => this.#apartSinceMs,
      requestVotes: () => this.#broadcast({ kind: 'vote request' }),
      won: (epoch) => this.#takeOver(epoch),
    });
    this.#migration = new ReplicaMigration(topology, nowMs);
    this.#settleKeys();
    this.#follow(topology.self.master);
    for (const node of topology.others)
      this.#links.set(node, new BusLink(host, network, clock, node.host, (message) => this.#whenFree(() => this.#hear(message, () => {}))));
    listenOnBus(host, network, (message, reply) => this.#whenFree(() => this.#hear(message, reply)));
    this.#tick();
  }

  /** The process is gone, or does not take part yet. */
  ended(): void {
    this.#health = undefined;
  }

  /** The process has done what kept it busy. */
  goOn(): void {
    const unread = this.#unread;
    this.#unread = [];
    for (const run of unread) run();
  }

  isConnectedTo(node: KnownNode): boolean {
    return this.#links.get(node)?.isConnected === true;
  }

  /** Tells all nodes at once what this one is. */
  announce(): void {
    this.#broadcast({ kind: 'pong', gossip: this.#gossip() });
  }

  published(channel: string, message: string): void {
    this.#broadcast({ kind: 'publish', channel, message });
  }

  /** It is a replica from now on, or one of another master. */
  become(master: KnownNode): void {
    const { self } = this.topology;
    if (self.master === undefined) {
      this.topology.migrating.clear();
      this.topology.importing.clear();
    }
    self.master = master;
    this.#follow(master);
  }

  keysIn(slot: number): string[] {
    return this.#parts.store.keys().filter((key) => slotOfKey(key) === slot);
  }

  #follow(master: KnownNode | undefined): void {
    const { replication } = this.#parts;
    replication.replicaOf(master === undefined ? ['REPLICAOF', 'NO', 'ONE'] : ['REPLICAOF', master.host, '6379']);
  }

  /** Keys of slots that are another's may have come back with the file: the slots are left open, for somebody to look at. */
  #settleKeys(): void {
    const { topology } = this;
    if (!this.isMaster) return;
    for (const slot of new Set(this.#parts.store.keys().map(slotOfKey))) {
      const owner = topology.ownerOf(slot);
      if (owner === undefined) topology.assign(slot, topology.self);
      else if (owner !== topology.self && !topology.importing.has(slot)) topology.importing.set(slot, owner);
    }
  }

  #whenFree(run: () => void): void {
    if (this.#parts.isBusy()) this.#unread.push(run);
    else run();
  }

  #tick(): void {
    this.#clock!.setTimer(TICK_MS, () => this.#tick());
    if (this.#parts.isBusy()) return;
    const nowMs = this.#clock!.monotonicMs();
    const { nodeTimeoutMs } = this.options;
    const { replication, random } = this.#parts;
    for (const [node, link] of this.#links) {
      if (link.isConnected) {
        const isStuck = node.pingSentMs > node.pongMs && link.ageMs > nodeTimeoutMs;
        const silentMs = nowMs - Math.max(node.pingSentMs, node.heardMs);
        if (isStuck && silentMs > nodeTimeoutMs / 2) link.drop();
        else if (node.pingSentMs === 0 && nowMs - node.pongMs > nodeTimeoutMs / 2) this.#ping(node);
        continue;
      }
      // It is asked in vain.
      if (node.pingSentMs === 0) node.pingSentMs = nowMs;
      link.keep(() => this.#whenFree(() => this.#ping(node)));
    }
    if (nowMs - this.#pingedMs >= PING_MS) {
      this.#pingedMs = nowMs;
      const node = random.pick(this.topology.others);
      if (node.pingSentMs === 0 && this.isConnectedTo(node)) this.#ping(node);
    }
    this.#apartSinceMs = replication.isLinkDown ? (this.#apartSinceMs ?? nowMs) : undefined;
    this.topology.self.offset = replication.offset;
    this.#health!.look();
    this.#election!.advance();
    const orphan = this.isDown ? undefined : this.#migration!.look();
    if (orphan !== undefined) this.become(orphan);
  }

  #ping(node: KnownNode): void {
    // One that is not answered counts from the first on.
    if (node.pingSentMs === 0) node.pingSentMs = this.#clock!.monotonicMs();
    this.#links.get(node)!.send(this.#message({ kind: 'ping', gossip: this.#gossip() }));
  }

  #gossip() {
    return this.topology.others.map(({ id, health }) => ({ id, health }));
  }

  #message(body: Body): BusMessage {
    const { self, currentEpoch } = this.topology;
    const owner = self.master ?? self;
    const header: Header = {
      from: self.id,
      currentEpoch,
      configEpoch: owner.configEpoch,
      slots: this.topology.slotsOf(owner),
      master: self.master?.id ?? '',
      offset: self.offset,
    };
    return { ...header, ...body };
  }

  #broadcast(body: Body): void {
    const message = this.#message(body);
    for (const link of this.#links.values()) link.send(message);
  }

  #hear(message: BusMessage, reply: (answer: BusMessage) => void): void {
    const { topology } = this;
    const sender = topology.find(message.from)!;
    sender.heardMs = this.#clock!.monotonicMs();
    topology.currentEpoch = Math.max(topology.currentEpoch, message.currentEpoch);
    sender.configEpoch = Math.max(sender.configEpoch, message.configEpoch);
    sender.offset = message.offset;
    switch (message.kind) {
      case 'ping':
      case 'pong':
        if (message.kind === 'ping') reply(this.#message({ kind: 'pong', gossip: this.#gossip() }));
        else {
          sender.pingSentMs = 0;
          sender.pongMs = this.#clock!.monotonicMs();
          this.#health!.answered(sender);
        }
        this.#learn(sender, message);
        for (const { id, health } of message.gossip) {
          const node = topology.find(id)!;
          if (node !== topology.self) this.#health!.reported(sender, node, health);
        }
        return;
      case 'fail':
        return this.#health!.failed(topology.find(message.id)!);
      case 'publish':
        return void this.#parts.channels.publish(message.channel, message.message);
      case 'vote request':
        // As a new message, over the link of the voter.
        if (this.#election!.vote(sender, message)) this.#links.get(sender)!.send(this.#message({ kind: 'vote' }));
        return;
      case 'vote':
        return this.#election!.voted(sender, message.currentEpoch);
      case 'update': {
        const node = topology.find(message.id)!;
        if (node.configEpoch >= message.epoch) return;
        node.master = undefined;
        node.configEpoch = message.epoch;
        return this.#claimed(node, message.epoch, message.owned);
      }
    }
  }

  /** What a node says that it is, and has. */
  #learn(sender: KnownNode, { master, slots, configEpoch }: Header): void {
    const { topology } = this;
    if (master === '') sender.master = undefined;
    else {
      if (sender.master === undefined) for (const slot of topology.slotsOf(sender)) topology.assign(slot, undefined);
      sender.master = topology.find(master)!;
      sender.hadReplicas = true;
      sender.master.hadReplicas = true;
    }
    const owner = sender.master ?? sender;
    if (!topology.isAgreed(owner, slots)) {
      if (sender.master === undefined) this.#claimed(sender, configEpoch, slots);
      const newer = slots.map((slot) => topology.ownerOf(slot)).find((node) => node !== owner && (node?.configEpoch ?? 0) > configEpoch);
      if (newer !== undefined)
        this.#links
          .get(sender)!
          .send(this.#message({ kind: 'update', id: newer.id, epoch: newer.configEpoch, owned: topology.slotsOf(newer) }));
    }
    const { self } = topology;
    const isEqual = this.isMaster && sender.master === undefined && sender.configEpoch === self.configEpoch;
    if (isEqual && self.id < sender.id) self.configEpoch = ++topology.currentEpoch;
  }

  /** A master says that slots are its own since an epoch. */
  #claimed(owner: KnownNode, epoch: number, slots: readonly number[]): void {
    const { topology } = this;
    const { self } = topology;
    if (owner === self) return;
    const former = self.master ?? self;
    const lost: number[] = [];
    let taken = 0;
    for (const slot of slots) {
      const before = topology.ownerOf(slot);
      // One that is open here changes hands by commands only.
      if (before === owner || topology.importing.has(slot) || (before !== undefined && before.configEpoch >= epoch)) continue;
      if (before === self) lost.push(slot);
      if (before === former) taken++;
      topology.assign(slot, owner);
    }
    if (taken > 0 && topology.slotsOf(former).length === 0) return this.become(owner);
    const grandmaster = self.master?.master;
    if (grandmaster !== undefined && grandmaster !== self) return this.become(grandmaster);
    for (const slot of lost) for (const key of this.keysIn(slot)) this.#parts.store.remove(key);
    this.#parts.commit();
  }

  #takeOver(epoch: number): void {
    const { topology } = this;
    const { self } = topology;
    const former = self.master!;
    self.master = undefined;
    self.configEpoch = epoch;
    for (const slot of topology.slotsOf(former)) topology.assign(slot, self);
    this.#follow(undefined);
    this.announce();
  }
}
