import { sleep, systemClock, type Clock, type Timer } from '../../core/clock.ts';
import { SyncError } from '../../core/errors.ts';
import { groupBy } from '../../core/group-by.ts';
import type { RedisAddress, RedisUrl } from '../../core/redis-url.ts';
import { RedisLink, type Argument, type Passage, type RedisAccess } from './link.ts';
import { RedisNode, type NodeWatch, type RedisNodeOptions } from './node.ts';
import type { ReplicatedCall } from './replicated.ts';
import type { RedisRouter, RouterWatch } from './router.ts';
import type { Script } from './scripts.ts';
import { tlsOptions } from './server-options.ts';
import { nameOf, readClusterNodes, slotOf, type ClusterView } from './slots.ts';

/** A master that is connected to. */
interface Member {
  readonly name: string;
  readonly address: RedisAddress;
  readonly node: RedisNode;
  /** Resolves when it was reached for the first time, or could not be. */
  readonly attempted: Promise<void>;
  /** While homes lie on it. */
  homes: readonly string[];
  watch: NodeWatch | undefined;
}

interface Redirection {
  readonly address: RedisAddress;
  readonly passage: Passage;
}

/** How often the nodes are asked who serves what while nothing happens. */
const POLL_MS = 1000;
const ASK_TIMEOUT_MS = 1000;
/** How long a call is carried from node to node, or waits until its keys are together, before it is given up. */
const REDIRECT_PATIENCE_MS = 2000;
/** Redirections without a pause: more mean that the nodes do not agree yet. */
const FAST_REDIRECTS = 3;
const PAUSE_MS = 50;

/**
 * Leads to the masters of a Redis Cluster, each a {@link RedisNode} of its own, so that all that holds for one Redis
 * holds for each: deadlines, nothing sent again that may have been carried out, replicas that are waited for.
 *
 * Who serves a slot is asked of every node that can be reached: each second, when a connection is lost, and when a node
 * refuses. The owner with the highest epoch is believed, as the nodes do themselves. A call goes elsewhere only when
 * a node refused to carry it out: MOVED to the owner, ASK to the node that a slot is being handed to; TRYAGAIN waits until
 * the keys of a partition are together again.
 */
export class ClusterRouter implements RedisRouter {
  /** The first node of the URL: what is published on one reaches all. */
  readonly target = undefined;
  readonly #url: RedisUrl;
  #options: RedisNodeOptions;
  readonly #clock: Clock;
  readonly #homes: readonly string[];
  readonly #watch: RouterWatch;
  readonly #members = new Map<string, Member>();
  /** What is believed of each slot that was asked for, past what {@link #view} says. */
  readonly #moved = new Map<number, RedisAddress>();
  /** By slot: the connection that served it last. */
  readonly #served = new Map<number, string>();
  readonly #located = Promise.withResolvers<void>();
  #view: ClusterView | undefined;
  #refreshing: Promise<void> | undefined;
  #timer: Timer | undefined;
  #closed = false;

  /** Starts to connect. @throws {SyncError} `bad_config` when the certificates cannot be read. */
  constructor(url: RedisUrl, options: RedisNodeOptions, homes: readonly string[], watch: RouterWatch) {
    this.#url = url;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#homes = homes;
    this.#watch = watch;
    // Not only when the first node is connected to, which nobody could be told of.
    if (url.secure) tlsOptions(options.tls ?? {}, url.addresses[0].host);
    watch.lost('queue_unavailable: no node of the cluster has answered yet');
    void this.#poll();
  }

  command(name: string, key: string, ...args: Argument[]): Promise<unknown> {
    return this.#carryOut(key, ({ node }, passage) => node.command(name, [key, ...args], passage));
  }

  together(keys: readonly string[]): readonly (readonly number[])[] {
    return [...groupBy(keys, slotOf).values()];
  }

  run(script: Script, keys: readonly string[], args: readonly Argument[]): Promise<unknown> {
    return this.#carryOut(keys[0] as string, ({ node }, passage) => node.run(script, keys, args, passage));
  }

  runReplicated(call: ReplicatedCall): Promise<unknown> {
    return this.#carryOut(call.keys[0] as string, ({ node }, passage) => node.runReplicated(call, passage));
  }

  connectionTo(key: string): string {
    return this.#served.get(slotOf(key)) ?? '';
  }

  located(): Promise<void> {
    return this.#located.promise;
  }

  useAccess({ url, tls }: RedisAccess): void {
    const access = { url, tls };
    this.#options = { ...this.#options, ...access };
    for (const { node } of this.#members.values()) node.useAccess(access);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#timer?.cancel();
    for (const { node } of this.#members.values()) node.close();
    this.#located.resolve();
  }

  async #carryOut(key: string, call: (member: Member, passage: Passage) => Promise<unknown>): Promise<unknown> {
    const slot = slotOf(key);
    const deadlineMs = this.#clock.monotonicMs() + REDIRECT_PATIENCE_MS;
    let redirection: Redirection | undefined;
    for (let count = 1; ; count++) {
      const member = this.#memberFor(slot, redirection);
      await member.attempted;
      try {
        const reply = await call(member, redirection?.passage ?? 'owner');
        this.#served.set(slot, `${member.name} ${member.node.connection}`);
        return reply;
      } catch (error) {
        if (!(error instanceof SyncError)) throw error;
        const isLate = this.#clock.monotonicMs() >= deadlineMs;
        if (isLate || !REFUSALS.has(String(error.cause))) {
          member.watch?.note(error);
          if (error.kind === 'transient') void this.#refresh();
          throw error;
        }
        redirection = this.#redirect(slot, member, error);
        if (redirection === undefined || count > FAST_REDIRECTS) await sleep(this.#clock, PAUSE_MS);
      }
    }
  }

  /** Where a refused call is to go; undefined: to the owner of the slot, later. */
  #redirect(slot: number, { address }: Member, error: SyncError): Redirection | undefined {
    const match = / (MOVED|ASK) \d+ (\S*):(\d+)/.exec(error.message);
    if (match === null) return undefined;
    const [, kind, host, port] = match;
    // Without a host it is the one that answered.
    const target = { host: host === undefined || host === '' ? address.host : host, port: Number(port) };
    if (kind === 'ASK') return { address: target, passage: 'asking' };
    this.#moved.set(slot, target);
    void this.#refresh();
    return { address: target, passage: 'owner' };
  }

  #memberFor(slot: number, redirection: Redirection | undefined): Member {
    const address = redirection?.address ?? this.#ownerOf(slot);
    if (this.#closed) throw new SyncError('queue_unavailable', 'redis cannot be reached: the queue is closed');
    if (address !== undefined) return this.#memberAt(address);
    void this.#refresh();
    throw new SyncError('queue_unavailable', `redis cannot be reached: no node of the cluster is known to serve slot ${slot}`);
  }

  #ownerOf(slot: number): RedisAddress | undefined {
    return this.#moved.get(slot) ?? this.#view?.ownerOf(slot)?.address;
  }

  #memberAt(address: RedisAddress): Member {
    const name = nameOf(address);
    const known = this.#members.get(name);
    if (known !== undefined) return known;
    const { promise: attempted, resolve } = Promise.withResolvers<void>();
    const node = new RedisNode(this.#options, { address }, () => ({
      connected: () => {
        if (member.watch === undefined) node.settled();
        else member.watch.connected();
        resolve();
      },
      disconnected: (problem) => {
        member.watch?.disconnected(problem);
        resolve();
        if (this.#members.get(name) === member) void this.#refresh();
      },
      note: (error) => member.watch?.note(error),
    }));
    const member: Member = { name, address, node, attempted, homes: [], watch: undefined };
    this.#members.set(name, member);
    return member;
  }

  async #poll(): Promise<void> {
    await this.#refresh();
    this.#located.resolve();
    if (this.#closed) return;
    this.#timer = this.#clock.setTimer(POLL_MS, () => void this.#poll());
  }

  /** Asks who serves what; calls that come while it is asked share the answer. */
  #refresh(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    this.#refreshing ??= this.#lookAround().finally(() => (this.#refreshing = undefined));
    return this.#refreshing;
  }

  async #lookAround(): Promise<void> {
    const members = [...this.#members.values()];
    const connected = members.filter(({ node }) => node.up);
    const asked = connected.map(({ node }) => node.command('CLUSTER', ['NODES']));
    // While all is well those are enough. Otherwise also who may have been promoted, and whoever the URL names.
    if (
      connected.length === 0 ||
      connected.length < members.length ||
      this.#homes.some((home) => this.#ownerOf(slotOf(home)) === undefined)
    ) {
      const others = new Map([...this.#url.addresses, ...(this.#view?.nodes ?? [])].map((address) => [nameOf(address), address]));
      for (const { name } of connected) others.delete(name);
      asked.push(...[...others.values()].map((address) => this.#askOnce(address)));
    }
    const results = await Promise.allSettled(asked);
    if (this.#closed) return;
    const answers = results.flatMap((result) => (result.status === 'fulfilled' ? [String(result.value)] : []));
    if (answers.length > 0) this.#believe(readClusterNodes(answers));
    else if (this.#view === undefined) {
      const failure = results.find((result) => result.status === 'rejected')?.reason as SyncError | undefined;
      if (failure !== undefined) this.#watch.lost(`${failure.code}: ${failure.message}`);
    }
  }

  /** Over a connection for this question alone. */
  async #askOnce(address: RedisAddress): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const options = { ...this.#options, commandTimeoutMs: ASK_TIMEOUT_MS, connectTimeoutMs: ASK_TIMEOUT_MS };
    const link = new RedisLink(options, { up: resolve, down: reject }, this.#options.random, { address });
    try {
      await promise;
      return await link.command('CLUSTER', ['NODES']);
    } finally {
      link.close();
    }
  }

  #believe(view: ClusterView): void {
    this.#view = view;
    this.#moved.clear();
    const homesAt = new Map<Member, string[]>();
    const lost: number[] = [];
    for (const home of this.#homes) {
      const owner = view.ownerOf(slotOf(home));
      if (owner === undefined) lost.push(slotOf(home));
      else {
        const member = this.#memberAt(owner.address);
        homesAt.set(member, [...(homesAt.get(member) ?? []), home]);
      }
    }
    // New ones first: in between, nobody is to believe that all is well.
    for (const [member, homes] of homesAt) {
      member.homes = homes;
      if (member.watch !== undefined) continue;
      member.watch = this.#watch.watch(member.node, () => member.homes[0] as string);
      if (member.node.up) member.watch.connected();
    }
    this.#watch.lost(lost.length === 0 ? undefined : `queue_unavailable: no node of the cluster serves slot ${lost[0]}`);
    for (const member of [...this.#members.values()]) {
      if (!homesAt.has(member) && member.watch !== undefined) {
        member.watch = undefined;
        this.#watch.forget(member.node);
      }
      if (!homesAt.has(member) && !view.masters.has(member.name)) {
        this.#members.delete(member.name);
        member.node.close();
      }
    }
  }
}

/** Replies that say that a call was not carried out, and may be elsewhere or later. */
const REFUSALS: ReadonlySet<string> = new Set(['MOVED', 'ASK', 'TRYAGAIN']);
