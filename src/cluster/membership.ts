import { sleep, type Clock, type Timer } from '../core/clock.ts';
import { SyncError } from '../core/errors.ts';
import type { MemberList, Queue } from '../queue/queue.ts';
import { encodeAbout, majorOf, memberOf, type About, type ClusterMember } from './member.ts';

export interface MembershipOptions {
  readonly queue: Queue;
  readonly clock: Clock;
  readonly name: string;
  readonly incarnation: string;
  /** How long a record lasts that is not renewed. */
  readonly ttlMs: number;
  /** What this node tells about itself now. */
  readonly about: () => About;
  readonly log: MembershipLog;
  /** Nodes came, went, or told something new. */
  readonly changed: () => void;
}

export interface MembershipLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** A clock that is further off than this is worth a warning. */
const MAX_CLOCK_DIFFERENCE_MS = 60_000;
/** After a record of another node should have ended. */
const EXPIRY_MARGIN_MS = 5;

/**
 * Keeps this node on the list of those that are alive, and knows who else is there.
 *
 * The list is in the queue and may be lost with it. A node that finds itself missing from it therefore keeps the others in
 * mind for as long as their records would have lasted, or may have been renewed unseen: they come back as soon as they renew.
 */
export class Membership {
  readonly #options: MembershipOptions;
  #members: readonly ClusterMember[] = [];
  /** As they were when the list was last read; some of them may have ended since. */
  #known: readonly ClusterMember[] = [];
  /** Members that were known and are missing since the list was lost. */
  #remembered: readonly ClusterMember[] = [];
  /** When what was read ends, by our clock; by name. */
  #endsAtMs = new Map<string, number>();
  #listedUntilMs = -Infinity;
  #clockDifferenceMs: number | undefined;
  #timer: Timer | undefined;
  #renewing: Promise<void> | undefined;
  #again = false;
  #stopped = false;
  /** Of another start of a node of this name: how its record stood when it was read, if it was. */
  #namesake: { readonly incarnation: string; readonly leftMs: number; readonly readAtMs: number } | undefined;
  /** What was warned of, and still holds. */
  readonly #troubles = new Set<string>();

  constructor(options: MembershipOptions) {
    this.#options = options;
  }

  /**
   * Puts this node on the list. A record that another start of this node left is waited for until it ends. Resolves also
   * when the queue is away: the node then joins when it is back.
   * @throws {SyncError} `node_conflict` when a node that is alive has this name, or another mode or major version.
   */
  async join(): Promise<void> {
    let before: ClusterMember | undefined;
    for (;;) {
      const sentAtMs = this.#options.clock.monotonicMs();
      let list: MemberList;
      try {
        list = await this.#keep();
      } catch (error) {
        if (!(error instanceof SyncError) || error.kind !== 'transient') throw error;
        break;
      }
      const conflict = await this.#conflict(list);
      if (conflict !== undefined) throw conflict;
      const other = list.members.map(memberOf).find(({ name }) => name === this.#options.name);
      if (other === undefined || other.incarnation === this.#options.incarnation) {
        this.#take(list, sentAtMs);
        break;
      }
      // Less would be left, had it not been renewed.
      if (before?.incarnation === other.incarnation)
        throw new SyncError(
          'node_conflict',
          `another node named ${other.name} is running${other.admin === '' ? '' : ` (admin ${other.admin})`}; give each node a name of its own (node, or SYNCLINE_NODE)`,
        );
      if (before === undefined) this.#options.log.info({ node: other.name }, 'waits until the record of this node before its restart ends');
      before = other;
      await sleep(this.#options.clock, other.leftMs + EXPIRY_MARGIN_MS);
    }
    this.#schedule();
  }

  /** Everybody who is alive, this node included when it is on the list. */
  get members(): readonly ClusterMember[] {
    return this.#members;
  }

  /** Whether this node is on the list, as far as it can know. */
  get isListed(): boolean {
    return this.#options.clock.monotonicMs() < this.#listedUntilMs;
  }

  /** How far this machine's clock is ahead of the queue's, ms; undefined before it was compared. */
  get clockDifferenceMs(): number | undefined {
    return this.#clockDifferenceMs;
  }

  /** Renews now, and reads who is there. */
  async refresh(): Promise<void> {
    if (this.#stopped) return;
    if (this.#renewing !== undefined) this.#again = true;
    this.#renewing ??= this.#renew().finally(() => (this.#renewing = undefined));
    await this.#renewing;
  }

  /** Stops renewing. */
  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  /** Takes this node off the list. */
  async leave(): Promise<void> {
    this.stop();
    await this.#renewing;
    const { queue, name, incarnation } = this.#options;
    await queue.keepMember({ name, incarnation, about: '' }, 0).catch(ignoreTransient);
    this.#listedUntilMs = -Infinity;
  }

  #keep(): Promise<MemberList> {
    const { queue, name, incarnation, about, ttlMs } = this.#options;
    return queue.keepMember({ name, incarnation, about: encodeAbout(about()) }, ttlMs);
  }

  async #renew(): Promise<void> {
    do {
      this.#again = false;
      const sentAtMs = this.#options.clock.monotonicMs();
      try {
        this.#take(await this.#keep(), sentAtMs);
      } catch (error) {
        ignoreTransient(error);
        this.#forgetEnded();
      }
    } while (this.#again && !this.#stopped);
    this.#schedule();
  }

  /** A third of a record's life, or sooner when the record of another node ends unless it is renewed. */
  #schedule(): void {
    if (this.#stopped) return;
    const { clock, ttlMs, name } = this.#options;
    const ends = [...this.#endsAtMs].filter(([other]) => other !== name).map(([, endsAtMs]) => endsAtMs - clock.monotonicMs());
    const delayMs = Math.max(EXPIRY_MARGIN_MS, Math.min(ttlMs / 3, ...ends.map((ms) => ms + EXPIRY_MARGIN_MS)));
    this.#timer?.cancel();
    this.#timer = clock.setTimer(delayMs, () => void this.refresh());
  }

  #take(list: MemberList, sentAtMs: number): void {
    const { clock, name, incarnation, ttlMs } = this.#options;
    const nowMs = clock.monotonicMs();
    this.#compareClocks(list.nowMs, sentAtMs, nowMs);
    const read = list.members.map(memberOf);
    const wasLost = !list.wasListed && this.#listedUntilMs > -Infinity;
    const candidates = wasLost ? this.#known : this.#remembered.filter((one) => this.#lasts(one.name, nowMs));
    this.#remembered = candidates.filter((one) => one.name !== name && !read.some((other) => other.name === one.name));
    const isListed = read.some((one) => one.name === name && one.incarnation === incarnation);
    if (isListed) this.#listedUntilMs = sentAtMs + ttlMs;
    this.#lookAtNamesake(
      read.find((one) => one.name === name && one.incarnation !== incarnation),
      nowMs,
    );
    const ends = new Map(
      this.#remembered.map((one) => [one.name, this.#lasts(one.name, nowMs) ? this.#endsAtMs.get(one.name)! : nowMs + ttlMs]),
    );
    for (const one of read) ends.set(one.name, nowMs + one.leftMs);
    this.#known = [...read, ...this.#remembered];
    this.#set(this.#known, ends);
  }

  /** A record that runs out was left by an earlier start; one that does not is kept by somebody. */
  #lookAtNamesake(other: ClusterMember | undefined, nowMs: number): void {
    const before = this.#namesake;
    this.#namesake = other && { incarnation: other.incarnation, leftMs: other.leftMs, readAtMs: nowMs };
    const isSame = before !== undefined && before.incarnation === other?.incarnation;
    const isKept = isSame && before.leftMs - other.leftMs < (nowMs - before.readAtMs) / 2;
    if (isKept || other === undefined)
      this.#warnOf('node_conflict', other && `another node named ${other.name} is running; give each node a name of its own`);
  }

  /** While the list cannot be read: whoever would not be on it any more counts as gone. */
  #forgetEnded(): void {
    const nowMs = this.#options.clock.monotonicMs();
    this.#set(
      this.#members.filter(({ name }) => this.#lasts(name, nowMs)),
      this.#endsAtMs,
    );
  }

  #lasts(name: string, nowMs: number): boolean {
    return (this.#endsAtMs.get(name) ?? -Infinity) > nowMs;
  }

  #set(members: readonly ClusterMember[], endsAtMs: Map<string, number>): void {
    const { name: own, log } = this.#options;
    const before = new Map(this.#members.map((one) => [one.name, one.incarnation]));
    const now = new Map(members.map((one) => [one.name, one.incarnation]));
    for (const { name, incarnation, mode, version, admin } of members)
      if (name !== own && before.get(name) !== incarnation) log.info({ node: name, mode, version, admin }, 'a node is there');
    for (const name of before.keys()) if (name !== own && !now.has(name)) log.info({ node: name }, 'a node is gone');
    this.#members = members.toSorted((a, b) => (a.name < b.name ? -1 : 1));
    this.#endsAtMs = new Map([...endsAtMs].filter(([name]) => now.has(name)));
    this.#options.changed();
  }

  async #conflict({ members }: MemberList): Promise<SyncError | undefined> {
    const { name, incarnation, about, queue } = this.#options;
    const { mode, version } = about();
    const other = members
      .map(memberOf)
      .find((one) => one.name !== name && (one.mode !== mode || majorOf(one.version) !== majorOf(version)));
    if (other === undefined) return undefined;
    await queue.keepMember({ name, incarnation, about: '' }, 0).catch(ignoreTransient);
    return new SyncError(
      'node_conflict',
      `node ${other.name} runs version ${other.version} in cluster.mode ${other.mode}, this one version ${version} in ${mode}; ` +
        'stop it first, or start this one as the others are',
    );
  }

  #compareClocks(queueMs: number, sentAtMs: number, nowMs: number): void {
    const { clock } = this.#options;
    const differenceMs = Math.round(clock.wallMs() - (nowMs - sentAtMs) / 2 - queueMs);
    this.#clockDifferenceMs = differenceMs;
    const isOff = Math.abs(differenceMs) > MAX_CLOCK_DIFFERENCE_MS;
    this.#warnOf(
      'clock',
      isOff ? `the clock of this machine is ${Math.round(differenceMs / 1000)} s off that of the queue; set it` : undefined,
    );
  }

  /** Says once what is wrong, until it is right again. */
  #warnOf(what: string, trouble: string | undefined): void {
    if (trouble === undefined) this.#troubles.delete(what);
    else if (!this.#troubles.has(what)) {
      this.#troubles.add(what);
      this.#options.log.warn({}, trouble);
    }
  }
}

/** Whoever is away is met again at the next turn; anything else is a bug. */
function ignoreTransient(error: unknown): void {
  if (!(error instanceof SyncError)) throw error;
}
