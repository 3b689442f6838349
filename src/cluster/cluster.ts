import type { Clock } from '../core/clock.ts';
import { SyncError } from '../core/errors.ts';
import type { Random } from '../core/random.ts';
import type { StreamId } from '../core/stream.ts';
import type { Queue, QueueEvent } from '../queue/queue.ts';
import { assignPartitions } from './assignment.ts';
import { claimOfActive, claimOfStandby, type Claim } from './claims.ts';
import { decodeHint, encodeHint, type Hint } from './hints.ts';
import { LeaseKeeper, type LeaseEvents } from './lease-keeper.ts';
import { holderText, parseHolder, type About, type ClusterMember, type ClusterMode } from './member.ts';
import { Membership, type MembershipLog } from './membership.ts';

/** What a node is in a cluster of several. */
export interface ClusterSettings {
  readonly mode: Exclude<ClusterMode, 'standalone'>;
  /** Random, new at each start: 32 hex digits. */
  readonly incarnation: string;
  readonly version: string;
  /** Where the admin server listens, `host:port`; empty while it does not. */
  readonly admin: () => string;
}

export interface ClusterOptions {
  readonly settings: ClusterSettings;
  readonly queue: Queue;
  readonly sink: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly name: string;
  readonly leaseMs: number;
  readonly log: MembershipLog;
  readonly events: ClusterEvents;
}

export interface ClusterEvents extends Pick<LeaseEvents, 'gained' | 'lost' | 'refused' | 'failed'> {
  yield(partition: number): Promise<void>;
  /** Another node appended to `partition`, which this one holds. */
  wake(partition: number): void;
  /** A client of another node has waited long for `partition`, which this one holds. */
  heal(partition: number): void;
  /** Another node moved watermarks: a change that waits here may be helped by it. */
  advancedElsewhere(): void;
  /** A node that did not give back its leases is to be cut off from the sink; rejects when that did not work. */
  fence(incarnation: string): Promise<void>;
}

/** What sessions want to know of the work of other nodes. */
export interface ClusterNews {
  /** Watermarks of these streams were moved. */
  applied(streams: readonly StreamId[]): void;
  /** Something of the kind may have been missed. */
  missed(): void;
}

/** How a node sees its cluster, for people. */
export interface ClusterView {
  readonly mode: ClusterMode;
  /** The name of the node that leads; undefined while nobody is known to, and where all are equal. */
  readonly leader: string | undefined;
  readonly members: readonly ClusterMember[];
  readonly held: readonly number[];
  /** How far this machine's clock is ahead of the queue's, ms. */
  readonly clockDifferenceMs: number | undefined;
  readonly takeovers: number;
  readonly handovers: number;
}

/**
 * How long balancers are still shown a node that handed over its partitions, and of a pair not yet the one that has them, ms:
 * clients that move while that one begins to apply would wait for both.
 */
export const CLIENTS_FOLLOW_MS = 500;

/**
 * A node's place among others of its installation: which leases it asks for, and what it tells the others.
 * Correctness depends on none of it: the sink decides whether a slice commits.
 */
export class Cluster {
  readonly leases: LeaseKeeper;
  readonly #options: ClusterOptions;
  readonly #membership: Membership;
  readonly #fencing = new Set<string>();
  #state: About['state'] = 'starting';
  /** The sink can be used. */
  #canApply = false;
  /** Which node each partition is assigned to; in active mode. */
  #owners: readonly string[] = [];
  #unwatch: (() => void) | undefined;
  #news: ClusterNews | undefined;
  #takeovers = 0;
  #handovers = 0;
  #led = false;
  /** It had clients when it began to leave, and {@link clientsFollow} is yet to come. */
  #keepsClients = false;
  /** Of a pair: the other one, while it leads. */
  #otherLeader: string | undefined;
  /** Of a pair: whom this node has the lead from, and since when. */
  #tookFrom: { readonly name: string; readonly atMs: number } | undefined;

  constructor(options: ClusterOptions) {
    this.#options = options;
    const { settings, queue, clock, random, name, leaseMs, events, log } = options;
    this.#membership = new Membership({
      queue,
      clock,
      name,
      incarnation: settings.incarnation,
      ttlMs: leaseMs,
      about: () => ({ mode: settings.mode, version: settings.version, state: this.#state, admin: settings.admin() }),
      log,
      changed: () => this.#membersChanged(),
    });
    this.leases = new LeaseKeeper({
      queue,
      sink: options.sink,
      clock,
      random,
      holder: holderText(name, settings.incarnation),
      leaseMs,
      claim: (partition) => this.#claim(partition),
      events: {
        gained: (lease) => {
          if (settings.mode === 'active') this.#announce({ type: 'taken', partition: lease.partition });
          else if (lease.partition === 0) this.#noteLead();
          events.gained(lease);
          this.#noteLeading();
        },
        lost: (partition) => {
          events.lost(partition);
          this.#noteLeading();
        },
        refused: (partition, holder) => this.#refused(partition, parseHolder(holder).name),
        failed: events.failed,
        tookOver: (partition, before) => this.#tookOver(partition, before),
        yield: (partition) => events.yield(partition),
        released: (partitions) => {
          if (partitions.length === 0) return;
          this.#handovers += partitions.length;
          this.#announce({ type: 'released', partitions });
        },
      },
    });
  }

  /** Joins the others. @throws {SyncError} `node_conflict`. */
  async join(): Promise<void> {
    this.#unwatch = this.#options.queue.watch((event) => this.#heard(event));
    await this.#membership.join();
    this.#announce({ type: 'members' });
  }

  watchNews(news: ClusterNews): void {
    this.#news = news;
  }

  /** From now on this node may be given partitions: its sink can be used. */
  async ready(): Promise<void> {
    this.#canApply = true;
    if (this.#state !== 'starting') return;
    this.#state = 'ready';
    await this.#membership.refresh();
    this.#announce({ type: 'members' });
  }

  /** Whether there is another node that could do this one's work; one that was killed counts until its record ends. */
  get hasSuccessor(): boolean {
    const { settings, name } = this.#options;
    return this.#membership.members.some((one) => one.name !== name && one.state === 'ready' && one.mode === settings.mode);
  }

  /**
   * This node is about to end, or goes out of service: nothing more is to be given to it. Of many, the others take over
   * one partition after the other; resolves when they have. Of a pair, and where there is nobody else, it keeps what it holds.
   */
  async leaving(): Promise<void> {
    if (this.#state !== 'leaving') this.#keepsClients = this.#leads;
    this.#state = 'leaving';
    await this.#membership.refresh();
    this.#announce({ type: 'members' });
    if (this.#options.settings.mode === 'active' && this.hasSuccessor) await this.leases.claimsChanged();
  }

  /** After {@link leaving}: from now on balancers are told to lead clients elsewhere. */
  clientsFollow(): void {
    this.#keepsClients = false;
  }

  /** After {@link leaving}: it stays after all. */
  returning(): void {
    this.#keepsClients = false;
    this.#state = this.#canApply ? 'ready' : 'starting';
    void this.#membership.refresh().then(() => {
      this.#announce({ type: 'members' });
      this.#membersChanged();
    });
  }

  /** Takes this node off the list, after its leases were given back. */
  async close(): Promise<void> {
    this.#unwatch?.();
    await this.#membership.leave();
    this.#announce({ type: 'members' });
  }

  /**
   * Whether a balancer may send clients here: the leader of a pair, any member of many. One that leaves is it until
   * {@link clientsFollow}, and of a pair the other one not before that, lest there be nobody in between.
   */
  get isPrimary(): boolean {
    return this.#state === 'leaving' ? this.keepsClients : this.#leads && !this.#isAwaitingClients;
  }

  /** Whether this node leaves and clients are to stay with it for now. */
  get keepsClients(): boolean {
    return this.#state === 'leaving' && this.#keepsClients && this.hasSuccessor;
  }

  get #leads(): boolean {
    if (this.#state !== 'ready') return false;
    return this.#options.settings.mode === 'active' ? this.#membership.isListed : this.leases.holds(0);
  }

  /** Whether the one that led before may still be shown to balancers. */
  get #isAwaitingClients(): boolean {
    const from = this.#tookFrom;
    if (from === undefined || this.#options.clock.monotonicMs() - from.atMs >= CLIENTS_FOLLOW_MS) return false;
    return this.#membership.members.some(({ name, state }) => name === from.name && state === 'leaving');
  }

  #noteLead(): void {
    const name = this.#otherLeader;
    this.#tookFrom = name === undefined ? undefined : { name, atMs: this.#options.clock.monotonicMs() };
    this.#otherLeader = undefined;
  }

  view(): ClusterView {
    const { mode } = this.#options.settings;
    return {
      mode,
      leader: mode === 'standby' ? this.#leader() : undefined,
      members: this.#membership.members,
      held: this.leases.held,
      clockDifferenceMs: this.#membership.clockDifferenceMs,
      takeovers: this.#takeovers,
      handovers: this.#handovers,
    };
  }

  /** Something was appended to `partition`, which another node holds. */
  wakeElsewhere(partition: number): void {
    this.#announce({ type: 'wake', partition });
  }

  /** A client here has waited long for `partition`, which another node holds. */
  healElsewhere(partition: number): void {
    this.#announce({ type: 'heal', partition });
  }

  /** A slice moved watermarks of these streams: sessions elsewhere wait for the news. */
  applied(partition: number, streams: readonly StreamId[]): void {
    if (streams.length > 0) this.#announce({ type: 'applied', partition, streams });
  }

  #leader(): string | undefined {
    if (this.leases.holds(0)) return this.#options.name;
    const holder = this.leases.holderOf(0);
    return holder === undefined ? undefined : parseHolder(holder).name;
  }

  #claim(partition: number): Claim {
    // Before its sink can be used, a node could only keep others from applying.
    if (this.#state !== 'ready') return 'none';
    if (this.#options.settings.mode === 'standby') return claimOfStandby(partition, this.leases.holds(0));
    return claimOfActive(partition, this.#options.name, this.#owners);
  }

  #membersChanged(): void {
    const { settings, name, queue, events } = this.#options;
    if (settings.mode !== 'active' || this.#state === 'leaving') return;
    const nodes = this.#assignable();
    // A node that cannot see the list goes on with what it has.
    if (nodes.length === 0 || !this.#membership.isListed) return;
    this.#owners = assignPartitions(nodes, queue.partitionCount);
    for (const [partition, owner] of this.#owners.entries())
      if (owner !== name && !this.leases.holds(partition)) events.refused(partition, owner);
    void this.leases.claimsChanged();
  }

  /** Of a pair, whoever has partition 0 has all. */
  #refused(partition: number, holder: string): void {
    const { settings, queue, events } = this.#options;
    if (settings.mode === 'active') return events.refused(partition, holder);
    this.#otherLeader = holder;
    for (let each = 0; each < queue.partitionCount; each++) if (!this.leases.holds(each)) events.refused(each, holder);
  }

  /** A node that comes and goes is given nothing until it has been there for a while, unless all are new. */
  #assignable(): string[] {
    const { leaseMs, settings } = this.#options;
    const ready = this.#membership.members.filter((one) => one.state === 'ready' && one.mode === settings.mode);
    const settled = ready.filter(({ ageMs }) => ageMs >= leaseMs);
    return (settled.length > 0 ? settled : ready).map((one) => one.name);
  }

  #heard(event: QueueEvent): void {
    const { settings, queue } = this.#options;
    if (event.type === 'connected') return void this.#membership.refresh();
    if (event.type === 'listening') {
      this.leases.mayHaveMissed();
      void this.#membership.refresh();
      return this.#news?.missed();
    }
    const hint = event.type === 'announced' ? decodeHint(event.message, settings.incarnation, queue.partitionCount) : undefined;
    if (hint !== undefined) this.#follow(hint);
  }

  #follow(hint: Hint): void {
    const { events } = this.#options;
    switch (hint.type) {
      case 'applied':
        events.advancedElsewhere();
        return this.#news?.applied(hint.streams);
      case 'wake':
        return events.wake(hint.partition);
      case 'heal':
        return events.heal(hint.partition);
      case 'taken':
        return this.leases.heardTaken(hint.partition);
      case 'released':
        for (const partition of hint.partitions) this.leases.heardReleased(partition);
        return;
      case 'members':
        void this.#membership.refresh();
    }
  }

  #tookOver(partition: number, before: string): void {
    const { name, incarnation } = parseHolder(before);
    this.#takeovers++;
    this.#options.log.warn({ partition, from: name }, 'took over a partition that was not given back');
    // The watermark decides, fenced or not: this only frees the rows that a frozen node may have locked.
    if (incarnation === undefined || this.#fencing.has(incarnation)) return;
    this.#fencing.add(incarnation);
    this.#options.events
      .fence(incarnation)
      .catch((error: unknown) => {
        if (!(error instanceof SyncError)) throw error;
        this.#options.log.warn(
          { from: name, code: error.code },
          `the database connections of the node before could not be ended; rows that it locked are free when the database gives it up: ${error.message}`,
        );
      })
      .finally(() => this.#fencing.delete(incarnation));
  }

  #noteLeading(): void {
    if (this.#options.settings.mode !== 'standby') return;
    const leads = this.leases.holds(0);
    if (leads === this.#led) return;
    this.#led = leads;
    this.#options.log.info({}, leads ? 'this node leads' : 'this node leads no longer');
  }

  #announce(hint: Hint): void {
    this.#options.queue.announce(encodeHint(this.#options.settings.incarnation, hint));
  }
}
